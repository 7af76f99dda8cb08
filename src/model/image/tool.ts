import { z } from 'zod'
import { DurationText } from '../quantity.ts'
import { demandProblem } from './tool-version.ts'

/** A tool that must be in the image, in a version that is demanded. */
export const Tool = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(60)
    .regex(/^[^\n]+$/, 'one line'),
  /** `19.1.7`: that one. `>=3.11 <3.13`: a range. `any`: it is there. */
  version: z.string().transform((text, context) => {
    const problem = demandProblem(text)
    if (problem === null) return text.trim()
    context.addIssue({ code: 'custom', message: problem })
    return z.NEVER
  }),
  /** Prints the version; ends with 0 when the tool is there. */
  check: z.string().min(1).max(1000),
  /** Where the version is in what the check prints: a regular expression with one group. Default: the first number with a dot. */
  pattern: z
    .string()
    .max(300)
    .transform((text, context) => {
      const problem = patternProblem(text)
      if (problem === null) return text
      context.addIssue({ code: 'custom', message: problem })
      return z.NEVER
    })
    .optional(),
  timeout: DurationText.prefault('1m'),
})
export type Tool = z.infer<typeof Tool>

function patternProblem(text: string): string | null {
  try {
    // An alternative that always matches tells how many groups there are.
    const groups = new RegExp(`${text}|`, 'm').exec('')?.length ?? 0
    return groups === 2 ? null : `a regular expression with one group around the version; this one has ${Math.max(0, groups - 1)}`
  } catch (error) {
    return `a regular expression; ${error instanceof Error ? error.message : 'this one cannot be read'}`
  }
}
