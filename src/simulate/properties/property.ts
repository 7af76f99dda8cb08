import type { Milliseconds } from '../../model/instant.ts'
import type { Spec } from '../../model/spec.ts'
import type { Happening } from '../happening.ts'
import type { Scenario } from '../scenario.ts'
import type { Look } from '../shared-store.ts'

/** What a property may look at besides what happens. */
export interface About {
  readonly scenario: Scenario
  readonly spec: Spec
  /** Milliseconds since the start. */
  now(): Milliseconds
  look(): Look | null
  /** When a controller last answered a host, ms since the start. */
  heardAt(host: string): Milliseconds
  /** Since when the agent of a host does not run, ms since the start; null while it does. */
  agentGoneSince(host: string): Milliseconds | null
  keyOf(job: string): string
}

/** Something that must never happen. Looked at after every event of a run. */
export interface Property {
  readonly name: string
  /** Row of the checklist or incident that it comes from. */
  readonly from: string
  /** Begins a run; the function gives a sentence that says how the property was broken, or null. */
  begin(about: About): (happening: Happening) => string | null
}
