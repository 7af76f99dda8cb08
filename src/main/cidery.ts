import { enableCompileCache } from 'node:module'
import { packageVersion } from './package-version.ts'

/** Runs one command line and resolves with its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`cidery ${packageVersion()}\n`)
    return 0
  }
  // Stripped types and compiled code are kept between runs: half of the time of a short command.
  enableCompileCache()
  const [{ runProgram }, { nodeOutside }] = await Promise.all([import('../cli/program.ts'), import('./cli-outside.ts')])
  const code = await runProgram(nodeOutside(), args)
  // A handle that somebody forgot must not hold the shell up; the code is set by then.
  setTimeout(() => process.exit(), 2000).unref()
  return code
}

// Started directly; bin/cidery.js calls main itself.
if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
