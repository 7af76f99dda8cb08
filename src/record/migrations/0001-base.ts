import { sql } from 'kysely'
import { columnTypes, type Migration } from './migration.ts'

/** The first schema. Times are epoch milliseconds, `doc` is JSON text; list indexes end with the id, so that every order is total. */
export const base: Migration = {
  number: 1,
  name: 'base',
  minimum: 1,
  async up(tx, kind) {
    const { integer, text, table } = columnTypes(tx, kind)

    await table('meta')
      .addColumn('key', text, (c) => c.primaryKey().notNull())
      .addColumn('value', text, (c) => c.notNull())
      .execute()

    await table('lead')
      .addColumn('id', integer, (c) =>
        c
          .primaryKey()
          .notNull()
          .check(sql`id = 1`),
      )
      .addColumn('epoch', integer, (c) => c.notNull())
      .addColumn('holder', text, (c) => c.notNull())
      .addColumn('expires_at', integer, (c) => c.notNull())
      .execute()

    await table('specs')
      .addColumn('generation', integer, (c) => c.primaryKey().notNull())
      .addColumn('applied_at', integer, (c) => c.notNull())
      .addColumn('applied_by', text, (c) => c.notNull())
      .addColumn('source', text, (c) => c.notNull())
      .execute()

    await table('hosts')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('pool', text, (c) => c.notNull())
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('desired_generation', integer, (c) => c.notNull())
      .addColumn('last_seen_at', integer)
      .addColumn('boot_id', text)
      .addColumn('key_hash', text)
      .addColumn('next_key_hash', text)
      .addColumn('enrolled_at', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('enrolments')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('token_hash', text, (c) => c.notNull())
      .addColumn('name', text)
      .addColumn('pool', text, (c) => c.notNull())
      .addColumn('labels', text, (c) => c.notNull())
      .addColumn('created_by', text, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('expires_at', integer, (c) => c.notNull())
      .addColumn('used_at', integer)
      .addColumn('host_id', text, (c) => c.references('hosts.id'))
      .execute()

    await table('jobs')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('queue', text, (c) => c.notNull())
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('priority', integer, (c) => c.notNull())
      .addColumn('submitted_at', integer, (c) => c.notNull())
      .addColumn('ended_at', integer)
      .addColumn('outcome', text)
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .addCheckConstraint('jobs_ended_once', sql`(state = 'ended') = (ended_at is not null)`)
      .execute()

    await table('attempts')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('job_id', text, (c) => c.notNull().references('jobs.id').onDelete('cascade'))
      .addColumn('number', integer, (c) => c.notNull())
      .addColumn('host_id', text, (c) => c.notNull().references('hosts.id'))
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('revision', integer, (c) => c.notNull())
      .addColumn('receipt_at', integer, (c) => c.notNull())
      .addColumn('ended_at', integer)
      .addColumn('doc', text, (c) => c.notNull())
      .addUniqueConstraint('attempts_number', ['job_id', 'number'])
      .addCheckConstraint('attempts_ended_once', sql`(state = 'ended') = (ended_at is not null)`)
      .execute()

    await table('operations')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('host_id', text, (c) => c.notNull().references('hosts.id'))
      .addColumn('kind', text, (c) => c.notNull())
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('requested_at', integer, (c) => c.notNull())
      .addColumn('ended_at', integer)
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('sandboxes')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('host_id', text, (c) => c.notNull().references('hosts.id'))
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('secrets')
      .addColumn('queue', text, (c) => c.notNull())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('sealed', text, (c) => c.notNull())
      .addColumn('set_by', text, (c) => c.notNull())
      .addColumn('set_at', integer, (c) => c.notNull())
      .addPrimaryKeyConstraint('secrets_key', ['queue', 'name'])
      .execute()

    await table('users')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('role', text, (c) => c.notNull())
      .addColumn('password_hash', text, (c) => c.notNull())
      .addColumn('disabled', integer, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('sessions')
      .addColumn('id_hash', text, (c) => c.primaryKey().notNull())
      .addColumn('user_id', text, (c) => c.notNull().references('users.id').onDelete('cascade'))
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('expires_at', integer, (c) => c.notNull())
      .addColumn('origin', text, (c) => c.notNull())
      .execute()

    await table('tokens')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('token_hash', text, (c) => c.notNull())
      .addColumn('user_id', text, (c) => c.notNull().references('users.id').onDelete('cascade'))
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('expires_at', integer, (c) => c.notNull())
      .addColumn('revoked_at', integer)
      .addColumn('last_used_at', integer)
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('idempotency')
      .addColumn('principal', text, (c) => c.notNull())
      .addColumn('key', text, (c) => c.notNull())
      .addColumn('request_hash', text, (c) => c.notNull())
      .addColumn('status', integer, (c) => c.notNull())
      .addColumn('body', text, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addPrimaryKeyConstraint('idempotency_key', ['principal', 'key'])
      .execute()

    await table('events')
      .addColumn('epoch', integer, (c) => c.notNull())
      .addColumn('seq', integer, (c) => c.notNull())
      .addColumn('number', integer)
      .addColumn('at', integer, (c) => c.notNull())
      .addColumn('kind', text, (c) => c.notNull())
      .addColumn('subject', text, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .addColumn('previous_hash', text)
      .addColumn('hash', text)
      .addPrimaryKeyConstraint('events_key', ['epoch', 'seq'])
      .execute()

    await table('checkpoints')
      .addColumn('number', integer, (c) => c.primaryKey().notNull())
      .addColumn('hash', text, (c) => c.notNull())
      .addColumn('at', integer, (c) => c.notNull())
      .addColumn('signature', text, (c) => c.notNull())
      .addColumn('cut', integer, (c) => c.notNull())
      .execute()

    await table('blobs')
      .addColumn('digest', text, (c) => c.primaryKey().notNull())
      .addColumn('size_bytes', integer, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('last_used_at', integer, (c) => c.notNull())
      .execute()

    await table('uploads')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('principal', text, (c) => c.notNull())
      .addColumn('expected_size', integer, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .execute()

    for (const statement of indexes) await sql.raw(statement).execute(tx)
  },
}

const indexes = [
  // A retired host leaves its name to the next.
  "create unique index hosts_name on hosts (name) where state <> 'retired'",
  'create index hosts_by_name on hosts (name, id)',
  'create index hosts_by_pool on hosts (pool, name, id)',
  'create unique index hosts_key on hosts (key_hash) where key_hash is not null',
  'create unique index hosts_next_key on hosts (next_key_hash) where next_key_hash is not null',
  'create unique index enrolments_token on enrolments (token_hash)',
  'create index enrolments_by_time on enrolments (created_at, id)',

  'create index jobs_by_time on jobs (submitted_at, id)',
  'create index jobs_by_queue on jobs (queue, submitted_at, id)',
  'create index jobs_by_state on jobs (state, submitted_at, id)',
  'create index jobs_by_queue_state on jobs (queue, state, submitted_at, id)',
  'create index jobs_by_end on jobs (ended_at, id) where ended_at is not null',
  'create index jobs_live on jobs (submitted_at, id) where ended_at is null',

  'create unique index attempts_live on attempts (job_id) where ended_at is null',
  'create index attempts_live_by_host on attempts (host_id, id) where ended_at is null',
  'create index attempts_by_host on attempts (host_id, id)',

  "create unique index operations_active on operations (host_id) where ended_at is null and state <> 'PENDING'",
  'create index operations_live on operations (requested_at, id) where ended_at is null',
  'create index operations_by_host on operations (host_id, requested_at, id)',
  'create index operations_by_end on operations (ended_at, id) where ended_at is not null',

  "create unique index sandboxes_name on sandboxes (name) where state <> 'gone'",
  'create index sandboxes_by_time on sandboxes (created_at, id)',
  'create index sandboxes_by_host on sandboxes (host_id, created_at, id)',

  'create unique index users_name on users (name)',
  'create index sessions_by_user on sessions (user_id, id_hash)',
  'create index sessions_by_expiry on sessions (expires_at, id_hash)',
  'create unique index tokens_hash on tokens (token_hash)',
  'create index tokens_by_user on tokens (user_id, created_at, id)',
  'create index tokens_by_time on tokens (created_at, id)',
  'create index idempotency_by_time on idempotency (created_at, principal, key)',

  'create unique index events_number on events (number) where number is not null',
  'create index events_unsealed on events (epoch, seq) where number is null',
  'create index events_by_subject on events (subject, number)',

  'create index blobs_by_use on blobs (last_used_at, digest)',
  'create index uploads_by_time on uploads (created_at, id)',
]
