import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { figure } from './statistics.ts'

/** An aim of one table: what was measured, and whether it is met. */
export interface Aim {
  readonly aim: string
  readonly measured: string
  /** What was measured divided by what was aimed at. */
  readonly ofAim: string
  readonly met: boolean
}

interface Judged {
  readonly value: number
  readonly limit: number
  /** Follows the figure: `ms`, `×`. */
  readonly unit: string
  /** What a reader should know of the figure besides. */
  readonly besides?: string
}

export function atMost(aim: string, judged: Judged): Aim {
  return { ...told(aim, judged), met: judged.value <= judged.limit }
}

export function atLeast(aim: string, judged: Judged): Aim {
  return { ...told(aim, judged), met: judged.value >= judged.limit }
}

function told(aim: string, { value, limit, unit, besides }: Judged) {
  return { aim, measured: `${figure(value)} ${unit}${besides === undefined ? '' : `, ${besides}`}`, ofAim: figure(value / limit) }
}

/** What one benchmark says. Cells are text, ready to be read. */
export interface Report {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly aims: readonly Aim[]
  /** How it was measured, and what could not be: a sentence each. */
  readonly notes: readonly string[]
}

export interface BenchOptions {
  /** Tiny sizes: shows that the benchmark works, says nothing of speed. */
  readonly quick: boolean
}

/** Runs a benchmark as a program: `node bench/<name>.bench.ts [--quick] [--out FILE]`. Its report goes to stdout as JSON when no file is named. */
export async function benchmark(run: (options: BenchOptions) => Promise<Report>): Promise<void> {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, out: { type: 'string' } } })
  const report = await run({ quick: values.quick })
  const text = `${JSON.stringify(report, null, 2)}\n`
  if (values.out === undefined) process.stdout.write(text)
  else writeFileSync(values.out, text)
}

/** Tells on stderr what is going on: a benchmark takes minutes. */
export function say(text: string): void {
  process.stderr.write(`  ${text}\n`)
}
