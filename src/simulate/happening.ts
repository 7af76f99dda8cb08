import type { Event } from '../model/event.ts'
import type { Look } from './shared-store.ts'

/** What really happens, as nobody in the fleet can know it for sure: properties are stated over these. */
export type Happening =
  /** A client was told that its job is accepted. */
  | { readonly kind: 'accepted'; readonly job: string; readonly key: string }
  /** A client was told that its change was made. */
  | { readonly kind: 'answered'; readonly actor: string; readonly what: string; readonly event: Event['kind'] }
  /** A commit; `look` sees the rows as they are now. */
  | { readonly kind: 'committed'; readonly look: Look; readonly events: readonly CommittedEvent[] }
  | { readonly kind: 'runStarted'; readonly host: string; readonly attempt: string; readonly sandbox: string; readonly job: string }
  /** A command of an operation runs on the machine itself. */
  | { readonly kind: 'commandStarted'; readonly host: string; readonly operation: string }
  | { readonly kind: 'runEnded'; readonly host: string; readonly attempt: string; readonly how: RunEnd }
  | {
      readonly kind: 'sandboxMade'
      readonly host: string
      readonly sandbox: string
      readonly engine: string
      readonly image: string | null
    }
  | { readonly kind: 'sandboxStarted'; readonly host: string; readonly sandbox: string; readonly engine: string; readonly running: number }
  /** A start was asked for, and there was no slot; `jobs` machines of other attempts ran. */
  | { readonly kind: 'sandboxRefused'; readonly host: string; readonly sandbox: string; readonly engine: string; readonly jobs: number }
  /** The agent stopped a sandbox that ran. */
  | { readonly kind: 'sandboxStopped'; readonly host: string; readonly sandbox: string }
  | { readonly kind: 'sandboxGone'; readonly host: string; readonly sandbox: string }
  /** The cheap look at an engine came out so. */
  | {
      readonly kind: 'checked'
      readonly host: string
      readonly engine: string
      readonly image: string | null
      readonly ok: boolean
      readonly reason: string
    }
  /** A sandbox of an image really booted. */
  | { readonly kind: 'proved'; readonly host: string; readonly sandbox: string; readonly engine: string; readonly image: string | null }
  | { readonly kind: 'bootFailed'; readonly host: string; readonly sandbox: string; readonly why: string }
  | { readonly kind: 'rebootAsked'; readonly host: string; readonly runs: readonly string[] }
  | { readonly kind: 'machineDown'; readonly host: string }
  | { readonly kind: 'machineUp'; readonly host: string }
  | { readonly kind: 'obeyed'; readonly host: string; readonly epoch: number; readonly generation: number }
  | { readonly kind: 'planFault'; readonly problem: string }
  /** A controller answered a host. */
  | { readonly kind: 'heard'; readonly host: string }
  /** Something of the simulation itself: a process died or came back, a fault began or ended. */
  | { readonly kind: 'told'; readonly who: string; readonly what: string }

/** An event as it is in the journal, under the epoch of the controller that wrote it. */
export type CommittedEvent = Event & { readonly epoch: number }

export interface RunEnd {
  readonly code: number | null
  readonly signal: number | null
  readonly cause: 'exited' | 'timedOut' | 'cancelled' | 'lost'
}

export type Tell = (happening: Happening) => void
