import type { Instant } from '../model/instant.ts'
import type { JobSpec } from '../model/job.ts'
import type { Reader, Writer } from '../ports/store.ts'
import { chunks } from './chunks.ts'

/** The bytes that a job starts from: its source and files. */
export function digestsOfJob(spec: JobSpec): readonly string[] {
  const digests = new Set(spec.files.map(({ blob }) => blob))
  if (spec.source.kind === 'upload') digests.add(spec.source.blob)
  return [...digests].toSorted()
}

/** Digests of which no whole bytes are kept. */
export async function missingBlobs(db: Reader, digests: readonly string[]): Promise<readonly string[]> {
  const known = new Set<string>()
  for (const part of chunks(digests, 500)) {
    for (const { digest } of await db.selectFrom('blobs').select('digest').where('digest', 'in', part).orderBy('digest').execute())
      known.add(digest)
  }
  return digests.filter((digest) => !known.has(digest))
}

export async function hasBlob(db: Reader, digest: string): Promise<boolean> {
  return (await missingBlobs(db, [digest])).length === 0
}

/** Bytes are whole and kept from now on. */
export async function keepBlob(
  db: Writer,
  blob: { readonly digest: string; readonly sizeBytes: number; readonly at: Instant },
): Promise<void> {
  await db
    .insertInto('blobs')
    .values({ digest: blob.digest, size_bytes: blob.sizeBytes, created_at: blob.at, last_used_at: blob.at })
    .onConflict((conflict) => conflict.column('digest').doUpdateSet({ last_used_at: blob.at }))
    .execute()
}

/** Bytes are needed again: their retention starts anew. */
export async function touchBlobs(db: Writer, digests: readonly string[], at: Instant): Promise<void> {
  for (const part of chunks(digests, 500)) await db.updateTable('blobs').set({ last_used_at: at }).where('digest', 'in', part).execute()
}

export interface Upload {
  readonly id: string
  readonly principal: string
  readonly sizeBytes: number
  readonly digest: string
}

/** What an upload belongs to and will be is one text: whose, and which digest. */
function ownerText(principal: string, digest: string): string {
  return `${principal} ${digest}`
}

export async function addUpload(db: Writer, upload: Upload, at: Instant): Promise<void> {
  await db
    .insertInto('uploads')
    .values({ id: upload.id, principal: ownerText(upload.principal, upload.digest), expected_size: upload.sizeBytes, created_at: at })
    .execute()
}

export async function findUpload(db: Reader, id: string): Promise<Upload | null> {
  const row = await db.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return null
  const split = row.principal.lastIndexOf(' ')
  return { id: row.id, principal: row.principal.slice(0, split), digest: row.principal.slice(split + 1), sizeBytes: row.expected_size }
}

/** An upload of the same bytes by the same caller that was begun before. */
export async function findUploadOf(db: Reader, principal: string, digest: string): Promise<Upload | null> {
  const row = await db
    .selectFrom('uploads')
    .select('id')
    .where('principal', '=', ownerText(principal, digest))
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .executeTakeFirst()
  return row === undefined ? null : findUpload(db, row.id)
}

export async function removeUpload(db: Writer, id: string): Promise<void> {
  await db.deleteFrom('uploads').where('id', '=', id).execute()
}

export async function uploadsBefore(db: Reader, before: Instant): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('uploads')
    .select('id')
    .where('created_at', '<', before)
    .orderBy('created_at')
    .orderBy('id')
    .limit(1000)
    .execute()
  return rows.map(({ id }) => id)
}
