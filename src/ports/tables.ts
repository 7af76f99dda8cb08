import type { Generated } from 'kysely'

/**
 * The tables, as both stores have them. Booleans are 0/1, moments are epoch milliseconds in 8-byte integers, `doc` columns are JSON
 * text; what a query filters or sorts by has a column of its own. Every table has a primary key, and every list query orders by it last.
 */
export interface Tables {
  /** `schema_minimum`, `installation_id`, `journal_key`, … */
  meta: { key: string; value: string }
  /** One row: who leads, until when by the database's clock. Each taking of the lead raises the epoch. */
  lead: { id: number; epoch: number; holder: string; expires_at: number }
  specs: { generation: number; applied_at: number; applied_by: string; source: string }
  hosts: {
    id: string
    name: string
    pool: string
    state: string
    generation: number
    desired_generation: number
    last_seen_at: number | null
    boot_id: string | null
    key_hash: string | null
    next_key_hash: string | null
    enrolled_at: number
    doc: string
  }
  enrolments: {
    id: string
    token_hash: string
    name: string | null
    pool: string
    labels: string
    created_by: string
    created_at: number
    expires_at: number
    used_at: number | null
    host_id: string | null
  }
  jobs: {
    id: string
    queue: string
    state: string
    priority: number
    submitted_at: number
    ended_at: number | null
    outcome: string | null
    generation: number
    doc: string
  }
  /** A partial unique index lets each job have at most one row with `ended_at` null. */
  attempts: {
    id: string
    job_id: string
    number: number
    host_id: string
    state: string
    generation: number
    revision: number
    receipt_at: number
    ended_at: number | null
    doc: string
  }
  operations: {
    id: string
    host_id: string
    kind: string
    state: string
    generation: number
    requested_at: number
    ended_at: number | null
    doc: string
  }
  sandboxes: { id: string; name: string; host_id: string; state: string; generation: number; created_at: number; doc: string }
  /** Partial unique indexes let an image have at most one row that is `building`, and one that is `promoted`. */
  builds: {
    id: string
    image: string
    name: string
    /** Where it was built; null for one of a registry. */
    host_id: string | null
    state: string
    generation: number
    revision: number
    created_at: number
    ended_at: number | null
    doc: string
  }
  image_lines: { name: string; generation: number; doc: string }
  /** The highest generation of an image is in force; a build under way goes by its own. `files` is the digest of a blob. */
  image_recipes: {
    image: string
    generation: number
    identity: string | null
    files: string | null
    set_by: string
    set_at: number
    doc: string
  }
  /** Builds that a host is to have. */
  image_holds: { host_id: string; build_id: string; image: string; fetch: number; doc: string }
  /** What was told and what a person said of an image on a host. */
  image_hosts: { host_id: string; image: string; doc: string }
  secrets: { queue: string; name: string; sealed: string; set_by: string; set_at: number }
  users: {
    id: string
    name: string
    role: string
    password_hash: string
    disabled: number
    generation: number
    created_at: number
    doc: string
  }
  sessions: { id_hash: string; user_id: string; created_at: number; expires_at: number; origin: string }
  tokens: {
    id: string
    token_hash: string
    user_id: string
    name: string
    created_at: number
    expires_at: number
    revoked_at: number | null
    last_used_at: number | null
    doc: string
  }
  idempotency: { principal: string; key: string; request_hash: string; status: number; body: string; created_at: number }
  /** Appended under (epoch, seq); the leader gives each its number and hash when it seals. */
  events: {
    epoch: number
    seq: number
    number: number | null
    at: number
    kind: string
    subject: string
    doc: string
    previous_hash: string | null
    hash: string | null
  }
  checkpoints: { number: number; hash: string; at: number; signature: string; cut: number }
  /** Bytes live in the blob store; this row says that they are whole. */
  blobs: { digest: string; size_bytes: number; created_at: number; last_used_at: number }
  uploads: { id: string; principal: string; expected_size: number; created_at: number }
}
export type { Generated }
