import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Store, Writer } from '../../src/ports/store.ts'

/** A release whose databases are out in the world, with rows as its program wrote them. */
export interface StoredRelease {
  readonly schema: number
  readonly version: string
  /** Table → rows. Written as plain values: they are of that release, whatever the types of today say. */
  readonly rows: Readonly<Record<string, readonly Readonly<Record<string, string | number | null>>[]>>
}

const hash = 'c0ffee'.repeat(10) + 'beef'

const first: StoredRelease = {
  schema: 1,
  version: '0.1.0',
  rows: {
    meta: [
      { key: 'schema', value: '1' },
      { key: 'schema_minimum', value: '1' },
      { key: 'migration_0001', value: '{"name":"base","at":1790000000000}' },
      { key: 'installation_id', value: 'ins-1' },
    ],
    lead: [{ id: 1, epoch: 3, holder: 'ctl_1', expires_at: 1_790_000_000_000 }],
    specs: [{ generation: 2, applied_at: 1_790_000_000_000, applied_by: 'user:admin', source: 'version: 1\n' }],
    hosts: [
      {
        id: 'host_1',
        name: 'mini-1',
        pool: 'default',
        state: 'up',
        generation: 4,
        desired_generation: 9,
        last_seen_at: 1_790_000_000_000,
        boot_id: 'b',
        key_hash: hash,
        next_key_hash: null,
        enrolled_at: 1,
        doc: '{"labels":{}}',
      },
      {
        id: 'host_2',
        name: 'mini-1',
        pool: 'default',
        state: 'retired',
        generation: 5,
        desired_generation: 1,
        last_seen_at: null,
        boot_id: null,
        key_hash: null,
        next_key_hash: null,
        enrolled_at: 1,
        doc: '{}',
      },
    ],
    enrolments: [
      {
        id: 'enr_1',
        token_hash: hash,
        name: 'mini-1',
        pool: 'default',
        labels: '{}',
        created_by: 'user:admin',
        created_at: 1,
        expires_at: 2,
        used_at: 2,
        host_id: 'host_1',
      },
    ],
    jobs: [
      {
        id: 'job_1',
        queue: 'default',
        state: 'ended',
        priority: 0,
        submitted_at: 10,
        ended_at: 20,
        outcome: 'exited',
        generation: 3,
        doc: '{"name":"ä"}',
      },
      {
        id: 'job_2',
        queue: 'default',
        state: 'running',
        priority: -5,
        submitted_at: 11,
        ended_at: null,
        outcome: null,
        generation: 2,
        doc: '{}',
      },
    ],
    attempts: [
      {
        id: 'att_1',
        job_id: 'job_1',
        number: 1,
        host_id: 'host_1',
        state: 'ended',
        generation: 2,
        revision: 7,
        receipt_at: 19,
        ended_at: 20,
        doc: '{}',
      },
      {
        id: 'att_2',
        job_id: 'job_2',
        number: 1,
        host_id: 'host_1',
        state: 'running',
        generation: 2,
        revision: 1,
        receipt_at: 19,
        ended_at: null,
        doc: '{}',
      },
    ],
    operations: [
      { id: 'op_1', host_id: 'host_1', kind: 'exec', state: 'EXECUTING', generation: 1, requested_at: 5, ended_at: null, doc: '{}' },
    ],
    sandboxes: [{ id: 'sbx_1', name: 'dev', host_id: 'host_1', state: 'running', generation: 1, created_at: 5, doc: '{}' }],
    secrets: [{ queue: 'default', name: 'TOKEN', sealed: 'v1.00000000.AAAA', set_by: 'user:admin', set_at: 5 }],
    users: [
      {
        id: 'usr_1',
        name: 'admin',
        role: 'admin',
        password_hash: '$scrypt$',
        disabled: 0,
        generation: 1,
        created_at: 1,
        doc: '{"queues":[]}',
      },
    ],
    sessions: [{ id_hash: hash, user_id: 'usr_1', created_at: 1, expires_at: 2, origin: '127.0.0.1' }],
    tokens: [
      {
        id: 'tok_1',
        token_hash: hash,
        user_id: 'usr_1',
        name: 'ci',
        created_at: 1,
        expires_at: 9_007_199_254_740_991,
        revoked_at: null,
        last_used_at: null,
        doc: '{}',
      },
    ],
    idempotency: [{ principal: 'user:admin', key: 'k', request_hash: hash, status: 201, body: '{}', created_at: 1 }],
    events: [
      {
        epoch: 1,
        seq: 1,
        number: 1,
        at: 1,
        kind: 'user.login',
        subject: 'user/admin',
        doc: '{"actor":"user:admin"}',
        previous_hash: '0'.repeat(64),
        hash,
      },
      { epoch: 3, seq: 1, number: null, at: 2, kind: 'job.ended', subject: 'job/job_1', doc: '{}', previous_hash: null, hash: null },
    ],
    checkpoints: [{ number: 1, hash, at: 1, signature: 'sig', cut: 0 }],
    blobs: [{ digest: hash, size_bytes: 5_000_000_000, created_at: 1, last_used_at: 2 }],
    uploads: [{ id: 'upl_1', principal: 'user:admin', expected_size: 5, created_at: 1 }],
  },
}

/** Every schema that was ever released. A new one is one entry here, and its text in fixtures by `CIDERY_KEEP_SCHEMA=N npx vitest run --project store test/store/upgrade`. */
export const releases: readonly StoredRelease[] = [
  first,
  {
    schema: 2,
    version: '0.2.0',
    rows: {
      ...first.rows,
      meta: [
        { key: 'schema', value: '2' },
        { key: 'schema_minimum', value: '1' },
        { key: 'migration_0001', value: '{"name":"base","at":1790000000000}' },
        { key: 'migration_0002', value: '{"name":"images","at":1790000000000}' },
        { key: 'installation_id', value: 'ins-1' },
      ],
      builds: [
        {
          id: 'bld_1',
          image: 'macos-15',
          name: 'macos-15-a',
          host_id: 'host_1',
          state: 'promoted',
          generation: 3,
          revision: 9,
          created_at: 1,
          ended_at: 2,
          doc: '{}',
        },
        {
          id: 'bld_2',
          image: 'macos-15',
          name: 'macos-15-b',
          host_id: null,
          state: 'building',
          generation: 1,
          revision: -1,
          created_at: 3,
          ended_at: null,
          doc: '{}',
        },
      ],
      image_lines: [{ name: 'macos-15', generation: 4, doc: '{}' }],
      image_recipes: [
        { image: 'macos-15', generation: 1, identity: hash, files: hash, set_by: 'user:admin', set_at: 1, doc: '{}' },
        { image: 'macos-15', generation: 2, identity: null, files: null, set_by: 'system', set_at: 2, doc: '{}' },
      ],
      image_holds: [{ host_id: 'host_1', build_id: 'bld_1', image: 'macos-15', fetch: 0, doc: '{}' }],
      image_hosts: [{ host_id: 'host_1', image: 'macos-15', doc: '{}' }],
    },
  },
]

/** The statements that made this release's schema on this kind of store. */
export function readReleasedSchema(release: Pick<StoredRelease, 'schema'>, kind: Store['kind']): string {
  return readFileSync(schemaFile(release.schema, kind), 'utf8')
}

export function keepReleasedSchema(schema: number, kind: Store['kind'], text: string): void {
  writeFileSync(schemaFile(schema, kind), text)
}

function schemaFile(schema: number, kind: Store['kind']): string {
  return join(import.meta.dirname, 'fixtures', `schema-${schema}.${kind}.sql`)
}

/** Fills an empty database as that release left it. */
export async function buildRelease(tx: Writer, release: StoredRelease, kind: Store['kind']): Promise<void> {
  for (const statement of readReleasedSchema(release, kind)
    .split(';\n')
    .filter((text) => text !== ''))
    await sql.raw(statement).execute(tx)
  for (const [table, rows] of Object.entries(release.rows)) {
    for (const row of rows) {
      const columns = sql.join(Object.keys(row).map((column) => sql.ref(column)))
      await sql`insert into ${sql.table(table)} (${columns}) values (${sql.join(Object.values(row))})`.execute(tx)
    }
  }
}
