import { CideryError } from '../errors.ts'
import { findVersion, satisfies } from './tool-version.ts'
import type { Tool } from './tool.ts'

/** What the check of a tool printed, both streams, and how it ended; null: it could not be run, or not in time. */
export interface ToolOutput {
  readonly exitCode: number | null
  readonly output: string
}

export interface ToolFinding {
  readonly tool: string
  readonly demanded: string
  /** Null: the tool is not there, or its version could not be found in what it printed. */
  readonly found: string | null
  /** Null: it is as demanded. */
  readonly problem: string | null
}

/** Judges every tool of a recipe by what its check printed. A tool that was not asked is a miss. */
export function judgeTools(tools: readonly Tool[], outputs: ReadonlyMap<string, ToolOutput>): readonly ToolFinding[] {
  return tools.map((tool) => {
    const { name, version: demanded } = tool
    const output = outputs.get(name)
    const found = output?.exitCode === 0 ? (findVersion(output.output, tool.pattern) ?? null) : null
    return { tool: name, demanded, found, problem: problemOf(tool, output, found) }
  })
}

function problemOf(tool: Tool, output: ToolOutput | undefined, found: string | null): string | null {
  if (output === undefined) return 'it was not checked'
  if (output.exitCode === null) return `its check did not end: ${tool.check}`
  if (output.exitCode !== 0) return `its check ended with ${output.exitCode}: ${tool.check}`
  if (tool.version === 'any') return null
  if (found === null) return `no version is in what "${tool.check}" prints`
  return satisfies(found, tool.version) ? null : `it is ${found}`
}

/**
 * The error of an image whose tools are not as demanded, with all of them: one miss fails the image. Null when there is none.
 */
export function missingTools(image: string, findings: readonly ToolFinding[]): CideryError | null {
  const misses = findings.filter(({ problem }) => problem !== null)
  if (misses.length === 0) return null
  const lines = misses.map(({ tool, demanded, problem }) => `${tool} ${demanded}: ${problem ?? ''}`)
  return new CideryError(
    'CONFLICT',
    `${misses.length} of ${findings.length} tools of ${image} are not as its recipe demands:\n${lines.join('\n')}`,
    {
      hint: 'correct the steps that install them, or the versions under tools',
      details: { misses: misses.map(({ tool, demanded, found, problem }) => ({ tool, demanded, found, problem })) },
    },
  )
}
