import type { Id, IdKind } from '../model/id.ts'

/** Randomness: cryptographic in production, seeded in tests. */
export interface Random {
  bytes(count: number): Uint8Array
  /** 0 ≤ x < 1. */
  fraction(): number
}

export interface Ids {
  /** A new id; ids of one kind sort by the time they were made. */
  next<K extends IdKind>(kind: K): Id<K>
}
