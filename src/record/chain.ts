import { hash } from 'node:crypto'
import type { Instant } from '../model/instant.ts'
import type { Signer } from '../ports/secrets.ts'
import type { Tables } from '../ports/store.ts'

/** What the first event of a journal follows. */
export const genesisHash: string = '0'.repeat(64)

/** The parts of a row that its hash covers. `doc` is the event's canonical JSON. */
export type ChainedRow = Pick<Tables['events'], 'epoch' | 'seq' | 'doc'> & { readonly number: number }

/** SHA-256 over the hash of the event before, the place of this one, and its canonical JSON. Anyone can compute it from an export. */
export function chainHash(previousHash: string, row: ChainedRow): string {
  return hash('sha256', `${previousHash}\n${row.number} ${row.epoch} ${row.seq}\n${row.doc}`)
}

/** The head of the journal at a moment, signed by the installation's key. */
export interface Checkpoint {
  readonly number: number
  readonly hash: string
  readonly at: Instant
  /** Everything up to here has been removed by retention. */
  readonly cut: boolean
  readonly signature: string
}

export function signCheckpoint(signer: Signer, checkpoint: Omit<Checkpoint, 'signature'>): Checkpoint {
  return { ...checkpoint, signature: signer.sign(checkpointText(checkpoint)) }
}

export function isSignedBy(signer: Signer, checkpoint: Checkpoint): boolean {
  return signer.verify(checkpointText(checkpoint), checkpoint.signature)
}

function checkpointText(checkpoint: Omit<Checkpoint, 'signature'>): string {
  return `cidery journal checkpoint 1\n${checkpoint.number} ${checkpoint.hash} ${checkpoint.at} ${checkpoint.cut ? 'cut' : 'head'}`
}

export function readCheckpoint(row: Tables['checkpoints']): Checkpoint {
  return { number: row.number, hash: row.hash, at: row.at, signature: row.signature, cut: row.cut === 1 }
}
