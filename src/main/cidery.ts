import { enableCompileCache } from 'node:module'
import { nodeOutside } from './cli-outside.ts'

/** Runs one command line and resolves with its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  // Stripped types and compiled code are kept between runs: half of the time of a short command.
  enableCompileCache()
  const { runProgram } = await import('../cli/program.ts')
  const code = await runProgram(nodeOutside(), args)
  // A handle that somebody forgot must not hold the shell up; the code is set by then.
  setTimeout(() => process.exit(), 2000).unref()
  return code
}

// Started directly; bin/cidery.js calls main itself.
if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
