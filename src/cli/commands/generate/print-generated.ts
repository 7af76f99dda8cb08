import type { Cli } from '../../cli.ts'
import { printThing } from '../../render/output.ts'

export interface Generated {
  /** Where such a file is usually kept. */
  readonly file: string
  readonly text: string
}

/** Prints a file that was made: its text alone, or with its name as data. */
export function printGenerated(cli: Cli, { file, text }: Generated): Promise<void> {
  return printThing(cli, { value: { file, text }, name: file, text: () => text })
}
