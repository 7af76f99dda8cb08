import type { HostFacts } from '../../model/host.ts'
import type { EngineSandbox } from '../../ports/engine.ts'

/** What of an attempt goes into its environment. */
export interface JobIdentity {
  readonly jobId: string
  /** Which try of the job this is: 1, 2, …. */
  readonly number: number
  readonly queue: string
}

const searchPath = {
  linux: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  macos: '/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
} as const

const language = { linux: 'C.UTF-8', macos: 'en_US.UTF-8' } as const

/**
 * The whole environment of a job's command: an allow-list, then what the job sets itself. Nothing of the host's or the agent's own
 * environment enters, so nothing has to be filtered out.
 */
export function jobEnvironment(
  sandbox: Pick<EngineSandbox, 'paths' | 'user' | 'mounted'>,
  job: JobIdentity & { readonly env: Readonly<Record<string, string>> },
  os: HostFacts['os'],
): Readonly<Record<string, string>> {
  return {
    PATH: searchPath[os],
    SHELL: '/bin/sh',
    LANG: language[os],
    HOME: sandbox.paths.home,
    USER: sandbox.user,
    LOGNAME: sandbox.user,
    TMPDIR: sandbox.paths.temporary,
    CI: 'true',
    ...job.env,
    CIDERY_JOB_ID: job.jobId,
    CIDERY_ATTEMPT: String(job.number),
    CIDERY_QUEUE: job.queue,
    CIDERY_SECRETS: sandbox.paths.secrets,
    CIDERY_WORK: sandbox.paths.work,
    ...(sandbox.mounted === null ? {} : { CIDERY_SOURCE: sandbox.mounted }),
  }
}

/** Linux takes no single word above 128 KiB (MAX_ARG_STRLEN), its NUL included. */
const wordLimit = 131_072
/** Words and environment together; Linux gives a quarter of the 8 MiB stack, macOS 1 MiB. */
const totalLimit = { linux: 2_000_000, macos: 1_000_000 } as const

/** Says why the kernel would refuse to start a command with these words and variables; null when it would not. */
export function launchProblem(argv: readonly string[], env: Readonly<Record<string, string>>, os: HostFacts['os']): string | null {
  let total = 0
  const words = [
    ...argv.map((word, place) => [`word ${place} of the command`, word] as const),
    ...Object.entries(env).map(([name, value]) => [`the variable ${name}`, `${name}=${value}`] as const),
  ]
  for (const [what, word] of words) {
    if (word.includes('\0')) return `${what} contains a NUL byte`
    const size = Buffer.byteLength(word) + 1
    if (size > wordLimit) return `${what} is ${size} bytes long; a process takes at most ${wordLimit}`
    // Eight bytes for its pointer.
    total += size + 8
  }
  return total > totalLimit[os] ? `command and environment are ${total} bytes together; a process takes at most ${totalLimit[os]}` : null
}

/**
 * The words that run a script file: those of its `#!` line, so that it runs from a directory mounted `noexec` too, else `/bin/sh -e`.
 *
 * @example scriptWords('#!/usr/bin/env -S node --no-warnings\n…', '/tmp/s') // ['/usr/bin/env', '-S node --no-warnings', '/tmp/s']
 */
export function scriptWords(script: string, path: string): readonly [string, ...string[]] {
  const [, interpreter, argument] = /^#![ \t]*([^\s]+)(?:[ \t]+([^\r\n]*?))?[ \t]*(?:\r?\n|$)/.exec(script) ?? []
  if (interpreter === undefined) return ['/bin/sh', '-e', path]
  return argument === undefined || argument === '' ? [interpreter, path] : [interpreter, argument, path]
}
