import type { Event, EventKind } from '../model/event.ts'
import type { Principal } from '../model/identity.ts'

/** Who did it, as the journal writes it: `user:alice`, `token:alice/ci`, `host:mini-1`. */
export function actorOf(principal: Principal): string {
  return principal.kind === 'system' ? principal.name : `${principal.kind}:${principal.name}`
}

interface Deed {
  readonly kind: EventKind
  readonly at: number
  readonly subject: string
  readonly result?: Event['result']
  readonly data?: Readonly<Record<string, unknown>>
}

/** The event of something that a caller did or was refused. */
export function eventBy(caller: { readonly principal: Principal; readonly origin: string }, deed: Deed): Event {
  const { kind, at, subject, result = 'ok', data = {} } = deed
  return { kind, at, actor: actorOf(caller.principal), subject, origin: caller.origin, result, data: { ...data } }
}
