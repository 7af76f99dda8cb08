import { CideryError } from '../errors.ts'
import type { Instant } from '../instant.ts'
import { dateFields, formatImageName, readNameTemplate, type NameValues } from './name.ts'

/**
 * The name of a build by its line's template. A template that needs what nobody said (a version of the product) gives way to the line's name with day, time and build.
 *
 * @example buildName('macos-15', 'macos-{release}-{date}', { id: 'bld_…', at, values: { release: '15' } }) // 'macos-15-2026-11-30'
 */
export function buildName(
  image: string,
  template: string,
  made: { readonly id: string; readonly at: Instant; readonly values: NameValues },
): string {
  const { date, time } = dateFields(made.at)
  const build = made.id.slice(-6)
  try {
    return formatImageName(readNameTemplate(template), { ...made.values, date, time, build })
  } catch (error) {
    if (!(error instanceof CideryError)) throw error
    return `${image}-${date}-${time}-${build}`
  }
}
