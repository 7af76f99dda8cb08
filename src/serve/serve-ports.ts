import type { Event } from '../model/event.ts'
import type { Log } from '../ports/log.ts'
import type { Ids, Random } from '../ports/random.ts'
import type { Digests, PasswordHasher, SecretBox } from '../ports/secrets.ts'
import type { Store, Writer } from '../ports/store.ts'
import type { Clock, Timers } from '../ports/time.ts'

/** What every part of the HTTP side needs from outside; `main/` brings the drivers. */
export interface ServePorts {
  readonly store: Store
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly ids: Ids
  readonly digests: Digests
  readonly hasher: PasswordHasher
  readonly box: SecretBox
  readonly log: Log
  /** Puts events into the journal, in the transaction of what they tell of. */
  readonly append: (tx: Writer, events: readonly Event[]) => Promise<void>
}
