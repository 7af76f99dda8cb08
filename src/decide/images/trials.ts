import type { Arm } from '../../model/image/line.ts'
import type { JobClass } from '../../model/world.ts'
import type { Moment, Place } from '../fleet.ts'
import type { Fit, Matcher } from '../matching.ts'
import type { Vacancies, Vacancy } from '../vacancies.ts'
import { canaryAlias, servingOf } from './serving.ts'

/** What the jobs of one class find that get the build of a canary. */
export interface CanaryLine {
  readonly image: string
  readonly build: string
  readonly share: number
  readonly need: JobClass
  readonly fit: Fit
  vacancy: Vacancy | null
}

/** Which jobs get the build of a canary, counting what this pass already placed. */
export interface Trials {
  /** Null when the image of a class has no canary that takes a share of the jobs. */
  lineOf(jobClass: JobClass): CanaryLine | null
  /** The host for the next job of a class if that is the canary's; undefined when it is not, or the canary has no room. */
  take(line: CanaryLine, vacancies: Vacancies, avoid: readonly string[]): Place | undefined
  count(line: CanaryLine, arm: Arm): void
}

/** A sum of fractions is not exact. */
const slack = 1e-9

export function createTrials(moment: Moment, matcher: Matcher): Trials {
  const { spec, world } = moment
  const shares = new Map<string, { readonly build: string; readonly share: number }>()
  for (const { name, canary, promoted } of servingOf(spec, world).lines) {
    if (canary !== null && canary.share !== null && promoted !== null) shares.set(name, { build: canary.build, share: canary.share })
  }
  const counts = new Map<string, Record<Arm, number>>()

  function countsOf(image: string): Record<Arm, number> {
    const known = counts.get(image) ?? { canary: 0, control: 0, ...world.images.get(image)?.canary?.assigned }
    counts.set(image, known)
    return known
  }

  /** The canary gets a job as soon as its share of all jobs, this one counted, is a whole one more than it has: never more than its share, never a job less. */
  function isDue({ image, share }: CanaryLine): boolean {
    const { canary, control } = countsOf(image)
    return share * (canary + control + 1) >= canary + 1 - slack
  }

  return {
    lineOf(jobClass) {
      const { image } = jobClass
      const trial = image === null ? undefined : shares.get(image)
      if (image === null || trial === undefined) return null
      const need = { ...jobClass, image: canaryAlias(image) }
      return { image, ...trial, need, fit: matcher.fit(need), vacancy: null }
    },
    take(line, vacancies, avoid) {
      if (!isDue(line)) return undefined
      line.vacancy ??= vacancies.of(line.fit.usable, line.need)
      return line.vacancy.best(avoid)
    },
    count({ image }, arm) {
      countsOf(image)[arm] += 1
    },
  }
}
