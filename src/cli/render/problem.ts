import { CideryError } from '../../model/errors.ts'
import type { InputProblem } from '../../model/errors.ts'
import { exitCodes } from '../declare.ts'
import { UsageError } from '../usage-error.ts'
import { paint } from './style.ts'
import { cleanText } from './text.ts'

export interface RenderErrorOptions {
  readonly color: boolean
  /** The command runs something whose own exit code counts: what is cidery's fault is 125, not 1. */
  readonly notRunCode: boolean
}

/** Says what could not be done, why (once), and what to type next; and the code to exit with. */
export function renderError(error: unknown, { color, notRunCode }: RenderErrorOptions): { readonly text: string; readonly code: number } {
  const mark = paint('✗', 'bad', color)
  if (error instanceof UsageError) return { text: `${mark} ${cleanText(error.message)}\n${usageHint(error)}`, code: exitCodes.usage }
  if (isCancelledPrompt(error)) return { text: 'cancelled\n', code: exitCodes.cancelled }
  if (error instanceof CideryError) {
    const lines = [...messageLines(mark, error), ...(error.problems ?? []).map((problem) => `  ${problemLine(problem)}`)]
    if (error.hint !== undefined) lines.push(`  next: ${cleanText(error.hint)}`)
    lines.push(paint(`  see: ${error.docs} (${error.code})`, 'dim', color))
    return { text: `${lines.join('\n')}\n`, code: exitCodeOf(error, notRunCode) }
  }
  return { text: `${messageLines(mark, error).join('\n')}\n`, code: exitCodeOf(undefined, notRunCode) }
}

function usageHint({ hint }: UsageError): string {
  if (hint === undefined) return ''
  return hint.includes('\n') ? `\n${hint}` : `  ${cleanText(hint)}\n`
}

function messageLines(mark: string, error: unknown): string[] {
  const message = error instanceof Error ? error.message : String(error)
  const cause = causeOf(error, message)
  return [`${mark} ${cleanText(message)}`, ...(cause === undefined ? [] : [`  because: ${cleanText(cause)}`])]
}

function exitCodeOf(error: CideryError | undefined, notRunCode: boolean): number {
  if (notRunCode) return exitCodes.notRun
  if (error?.code === 'UNAUTHENTICATED' || error?.code === 'FORBIDDEN') return exitCodes.auth
  return exitCodes.failed
}

function isCancelledPrompt(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'PROMPT_CANCELLED'
}

/** The innermost cause that the message does not already say. */
function causeOf(error: unknown, message: string): string | undefined {
  let found: string | undefined
  let at = error instanceof Error ? error.cause : undefined
  for (let depth = 0; depth < 8 && at instanceof Error; depth += 1) {
    if (at.message !== '' && !message.includes(at.message)) found = at.message
    at = at.cause
  }
  return found
}

/** `cidery.yaml:3:5 pools.default.slots: must be above 0 (accepted: …)`. */
export function problemLine(problem: InputProblem): string {
  const place =
    problem.file === undefined ? '' : `${[problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':')} `
  const accepted = problem.accepted === undefined || problem.accepted.length === 0 ? '' : ` (accepted: ${problem.accepted.join(', ')})`
  return cleanText(`${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.message}${accepted}`)
}
