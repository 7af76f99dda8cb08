import { hash } from 'node:crypto'
import type { Digests } from '../../ports/secrets.ts'

/** SHA-256 in lower-case hex. */
export function createDigests(): Digests {
  return { sha256: (bytes) => hash('sha256', bytes) }
}
