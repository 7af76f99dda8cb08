import { z } from 'zod'
import type { Store, Writer } from '../ports/store.ts'
import { chunks } from './chunks.ts'

/** Rows by id; those of images on hosts by the id of the host. */
export type Subject = 'job' | 'attempt' | 'host' | 'operation' | 'sandbox' | 'build' | 'image' | 'hostImages'

/** Rows that a commit changed, and hosts that should look different from now on. A hint that is read again, never the truth itself. */
export interface Touched {
  readonly rows: ReadonlyMap<Subject, ReadonlySet<string>>
  readonly desiredOf: ReadonlySet<string>
  /** Any row may have changed: what another controller said was missed. */
  readonly everything: boolean
}

/** What controllers on one store tell each other: which rows a commit changed, and which hosts were heard of. */
export interface Announcement {
  readonly rows: Touched['rows']
  readonly desiredOf: ReadonlySet<string>
  readonly heardOf: readonly string[]
}

const subjects = ['job', 'attempt', 'host', 'operation', 'sandbox', 'build', 'image', 'hostImages'] as const satisfies readonly Subject[]
const Ids = z.array(z.string()).default([])
const Text = z.object({ rows: z.partialRecord(z.enum(subjects), Ids).default({}), desire: Ids, heard: Ids })

/** Ids in one announcement: of 40 bytes at most each, within the 4 KiB that a store takes. */
const most = 80

/** Tells the other controllers what this commit changed, in as few texts as it takes: each is a round trip to the database. */
export async function announceTouched(store: Store, tx: Writer, touched: Pick<Touched, 'rows' | 'desiredOf'>): Promise<void> {
  const rows = [...touched.rows].flatMap(([of, ids]) => [...ids].map((id): Named => ({ of, id })))
  const desired = [...touched.desiredOf].map((id): Named => ({ of: 'desire', id }))
  for (const part of chunks([...rows, ...desired], most)) await store.announce(tx, textOf(part))
}

interface Named {
  readonly of: Subject | 'desire'
  readonly id: string
}

function textOf(part: readonly Named[]): string {
  const rows: Partial<Record<Subject, string[]>> = {}
  const desire: string[] = []
  for (const { of, id } of part) {
    if (of === 'desire') desire.push(id)
    else (rows[of] ??= []).push(id)
  }
  return JSON.stringify({ rows, ...(desire.length > 0 ? { desire } : {}) })
}

/** Tells the other controllers which hosts were heard of a moment ago. */
export async function announceHeard(store: Store, hostIds: readonly string[]): Promise<void> {
  if (hostIds.length === 0) return
  await store.write(async (tx) => {
    for (const part of chunks(hostIds, most)) await store.announce(tx, JSON.stringify({ heard: part }))
  })
}

/** What another controller told; null for a text that this release does not know: then anything may have changed. */
export function readAnnouncement(text: string): Announcement | null {
  const read = Text.safeParse(parse(text))
  if (!read.success) return null
  const { rows, desire, heard } = read.data
  const byKind = subjects.flatMap((of): [Subject, ReadonlySet<string>][] => (rows[of] === undefined ? [] : [[of, new Set(rows[of])]]))
  return { rows: new Map(byKind), desiredOf: new Set(desire), heardOf: heard }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A controller of another release; the caller looks at everything.
    return null
  }
}
