/** One text of a file under `src/` that is put in place of another. */
export interface Edit {
  readonly file: string
  /** Must be there exactly once. */
  readonly from: string
  readonly to: string
}

/** Which fleets a mutant is hunted in; what is left out is as chance draws it for a fleet of four Macs over three hours. */
export interface Hunt {
  readonly hosts?: number
  readonly hours?: number
  /** Times the usual rate of every fault. */
  readonly faultRate?: number
  /** Only these kinds of faults. */
  readonly kinds?: readonly string[]
  readonly jobsPerHostHour?: number
  readonly controllers?: number
  /** How long the fleet gets to come to rest; 0: it is not looked at. */
  readonly calmHours?: number
  /** `limits` of the spec, as in `cidery.yaml`. */
  readonly limits?: string
  /** Look only at the property that is to break, where another one would see the change before. */
  readonly alone?: boolean
}

/** A change to the real code that is known to be bad, and that the simulation has to find. */
export interface Mutant {
  readonly name: string
  /** Why somebody might write it. */
  readonly why: string
  readonly edits: readonly Edit[]
  /** Name of the property that it breaks first. */
  readonly breaks: string
  readonly hunt: Hunt
}

/** What `hunt.child.ts` is asked. */
export interface HuntRequest {
  readonly edits: readonly Edit[]
  readonly hunt: Hunt
  /** Name of the property that is looked at; null: all are. */
  readonly only: string | null
  readonly seeds: readonly number[]
}

/** What it answers. */
export interface HuntAnswer {
  /** The seed that broke a property; null: none of them did. */
  readonly seed: number | null
  readonly property: string
  readonly problem: string
  /** Virtual time at which it broke, ms. */
  readonly at: number
  readonly seedsRun: number
  readonly virtualMs: number
  readonly cpuMs: number
}

/** The hunt for a mutant in some seeds. */
export function huntOf({ edits, hunt, breaks }: Mutant, seeds: readonly number[]): HuntRequest {
  return { edits, hunt, only: hunt.alone === true ? breaks : null, seeds }
}

/** Carries an edit out; throws when the text is not there exactly once. */
export function edited(source: string, { file, from, to }: Edit): string {
  const parts = source.split(from)
  if (parts.length !== 2) throw new Error(`the text of a mutant is ${parts.length - 1} times in ${file}: ${from.slice(0, 80)}`)
  return parts.join(to)
}
