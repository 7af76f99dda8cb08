import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import type { LaunchCommand } from '../../../ports/engine.ts'
import type { SourceMirrors } from '../../../ports/mirrors.ts'
import type { Processes, StartedProcess } from '../../../ports/processes.ts'
import { fileReader, type FileReader } from './file-reader.ts'

export interface GitMirrorOptions {
  /** A folder of the agent's own (made 0700): one bare repository per URL. */
  readonly folder: string
  readonly processes: Processes
  /** How long one fetch may take, ms. */
  readonly fetchMs?: number
  readonly readFiles?: FileReader
  /** How long a mirror that nobody asks for is kept, ms; default 30 days. */
  readonly keepMs?: number
}

const defaultFetchMs = 15 * 60_000
const stopGrace = 2000
/** A pack is replaced within milliseconds, and seldom twice in a row. */
const archiveTries = 5
const archivePauseMs = 50
const day = 86_400_000
const commitForm = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/

/**
 * One mirror per git URL: a bare repository that nothing but the agent touches, so no work tree can be wedged. A commit that is there costs no network.
 * A mirror that git cannot use, or that belongs to another URL, is made anew. No credential is kept: what the operator's own `gitconfig` in the
 * folder says (helpers, `insteadOf`, `core.sshCommand`) is used and nothing of the agent's user.
 */
export function gitMirrors(options: GitMirrorOptions): SourceMirrors {
  const { folder, processes, fetchMs = defaultFetchMs, keepMs = 30 * day } = options
  /** One fetch per mirror at a time. */
  const queues = new Map<string, Promise<unknown>>()

  function alone<T>(mirror: string, work: () => Promise<T>): Promise<T> {
    const before = queues.get(mirror) ?? Promise.resolve()
    const next = before.then(work, work)
    const settled = next.then(
      () => undefined,
      () => undefined,
    )
    queues.set(mirror, settled)
    void settled.then(() => {
      if (queues.get(mirror) === settled) queues.delete(mirror)
    })
    return next
  }

  function launch(mirror: string, words: readonly string[]): LaunchCommand {
    const config = join(folder, 'gitconfig')
    const env = {
      PATH: '/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin',
      HOME: folder,
      LC_ALL: 'C',
      GIT_ALLOW_PROTOCOL: 'http:https:ssh:git:file',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: existsSync(config) ? config : '/dev/null',
      // The agent's own ssh keys are not for jobs to use.
      GIT_SSH_COMMAND: `ssh -F ${existsSync(join(folder, 'ssh_config')) ? quoted(join(folder, 'ssh_config')) : '/dev/null'} -o BatchMode=yes -o IdentitiesOnly=yes`,
    }
    // Neither hooks, helpers of other transports, nor anything that runs in the background while a mirror is read.
    const safe = ['core.hooksPath=/dev/null', 'protocol.ext.allow=never', 'gc.auto=0', 'maintenance.auto=false', 'fetch.fsckObjects=false']
    return { argv: ['git', ...safe.flatMap((setting) => ['-c', setting]), '--git-dir', mirror, ...words], env, cwd: folder }
  }

  async function git(
    mirror: string,
    words: readonly string[],
    limits: { readonly ms: number; readonly signal: AbortSignal },
  ): Promise<{ readonly code: number | null; readonly errors: string; readonly output: string }> {
    const started = await processes.start(launch(mirror, words))
    const end = within(started, limits)
    let output = ''
    for await (const bytes of started.output) if (output.length < 65_536) output += Buffer.from(bytes).toString('utf8')
    const code = await end
    return { code, errors: started.errorTail().trim(), output }
  }

  async function has(mirror: string, commit: string, signal: AbortSignal): Promise<boolean> {
    const found = await git(mirror, ['cat-file', '-e', `${commit}^{tree}`], { ms: 60_000, signal })
    return found.code === 0
  }

  /** A mirror that is whole and of this URL, or a new one. */
  async function ready(mirror: string, url: string, signal: AbortSignal): Promise<void> {
    const marked = await readFile(join(mirror, 'cidery-url'), 'utf8').catch(() => null)
    const usable = marked === url && (await git(mirror, ['rev-parse', '--is-bare-repository'], { ms: 30_000, signal })).code === 0
    if (usable) return
    await makeAnew(mirror, url, signal)
  }

  async function makeAnew(mirror: string, url: string, signal: AbortSignal): Promise<void> {
    await rm(mirror, { recursive: true, force: true })
    await mkdir(mirror, { recursive: true, mode: 0o700 })
    await chmod(mirror, 0o700)
    const made = await git(mirror, ['init', '--bare', '--quiet'], { ms: 60_000, signal })
    if (made.code !== 0) throw new CideryError('UNAVAILABLE', `a git mirror could not be made: ${made.errors}`)
    await mkdir(join(mirror, 'info'), { recursive: true })
    // What a tree's .gitattributes leave out of archives belongs to a checkout.
    await writeFile(join(mirror, 'info', 'attributes'), '* -export-ignore -export-subst\n')
    await writeFile(join(mirror, 'cidery-url'), url)
  }

  async function fetch(mirror: string, source: { readonly url: string; readonly commit: string }, signal: AbortSignal): Promise<void> {
    const { url, commit } = source
    const reading = options.readFiles ?? fileReader()
    const limits = { ms: fetchMs, signal }
    const how = url.startsWith('file:') ? reading.words : []
    const base = ['fetch', '--quiet', '--no-tags', '--force', '--no-write-fetch-head', '--no-recurse-submodules', ...how]
    // Many servers give a commit by its id; where they do not, or it is on no branch's tip, all branches and tags are fetched.
    // A reference of its own keeps it from being tidied away.
    const one = await git(mirror, [...base, '--', url, `+${commit}:refs/cidery/${commit}`], limits)
    if (one.code === 0 && (await has(mirror, commit, signal))) return
    const all = await git(mirror, [...base, '--prune', '--', url, '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'], limits)
    if (await has(mirror, commit, signal)) return
    if (all.code === 0) throw new CideryError('NOT_FOUND', `the repository ${shown(url)} has no commit ${commit} on any branch or tag`)
    throw fetchError(url, all.errors)
  }

  async function bring(mirror: string, source: { readonly url: string; readonly commit: string }, signal: AbortSignal): Promise<void> {
    await ready(mirror, source.url, signal)
    if (await has(mirror, source.commit, signal)) return
    try {
      await fetch(mirror, source, signal)
    } catch (error) {
      if (!isWedged(error)) throw error
      await makeAnew(mirror, source.url, signal)
      await fetch(mirror, source, signal)
    }
  }

  let sweptAt = 0

  /** Mirrors that no job asked for during `keepMs` go; looked at once a day. */
  async function sweep(): Promise<void> {
    if (Date.now() - sweptAt < day) return
    sweptAt = Date.now()
    for (const name of await readdir(folder)) {
      const marker = await stat(join(folder, name, 'cidery-url')).catch(() => null)
      if (marker === null || Date.now() - marker.mtimeMs < keepMs || queues.has(join(folder, name))) continue
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  return {
    async open(url, commit, signal) {
      if (!commitForm.test(commit)) throw new CideryError('INVALID_INPUT', `${JSON.stringify(commit)} is no full commit id`)
      if (url.startsWith('-') || /[\s\0]/.test(url)) throw new CideryError('INVALID_INPUT', 'the git URL cannot be used')
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await chmod(folder, 0o700)
      const mirror = join(folder, createHash('sha256').update(url).digest('hex').slice(0, 32))
      await alone(mirror, async () => {
        await bring(mirror, { url, commit }, signal)
        const now = new Date()
        await utimes(join(mirror, 'cidery-url'), now, now)
      })
      await sweep()
      return archive(() => processes.start(launch(mirror, ['archive', '--format=tar', commit])), signal)
    },
  }
}

/** Runs to the end, or is stopped at the deadline or abort. Gives the exit code; null when it was stopped. */
async function within(started: StartedProcess, limits: { readonly ms: number; readonly signal: AbortSignal }): Promise<number | null> {
  function stop(): void {
    void started.stop(stopGrace)
  }
  const late = setTimeout(stop, limits.ms)
  limits.signal.addEventListener('abort', stop, { once: true })
  if (limits.signal.aborted) stop()
  try {
    const { code } = await started.ended
    limits.signal.throwIfAborted()
    return code
  } finally {
    clearTimeout(late)
    limits.signal.removeEventListener('abort', stop)
  }
}

/**
 * The commit is known to be there, but while a pack is being replaced git may not find it for a moment: as long as nothing was given, it is
 * asked again.
 */
async function* archive(start: () => Promise<StartedProcess>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let tried = 1; ; tried += 1) {
    const started = await start()
    const end = within(started, { ms: defaultFetchMs, signal })
    end.catch(() => {
      // Thrown below, unless the reader went away first.
    })
    let given = false
    try {
      for await (const bytes of started.output) {
        given = true
        yield bytes
      }
      const code = await end
      if (code === 0) return
      if (given || tried >= archiveTries)
        throw new CideryError('UNAVAILABLE', `git archive ended with ${code ?? 'a signal'}: ${started.errorTail().trim()}`)
    } finally {
      await started.stop(stopGrace)
    }
    await pause(archivePauseMs * tried, undefined, { signal })
  }
}

function fetchError(url: string, errors: string): CideryError {
  const text = errors.split('\n').slice(-3).join(' ').slice(-500)
  if (
    /Authentication failed|could not read (?:Username|Password)|Permission denied|not found|does not (?:exist|appear to be a git repository)|dubious ownership|terminal prompts disabled/i.test(
      text,
    )
  ) {
    return new CideryError('NOT_FOUND', `the repository ${shown(url)} cannot be read: ${text}`)
  }
  if (url.startsWith('file:')) {
    return new CideryError('NOT_FOUND', `the repository ${shown(url)} cannot be read: ${text}`, {
      hint: 'every account of the host must be allowed to read it',
    })
  }
  return new CideryError('UNREACHABLE', `the repository ${shown(url)} could not be fetched: ${text === '' ? 'it took too long' : text}`)
}

/** Faults of the mirror itself and not of the way to its origin. */
function isWedged(error: unknown): boolean {
  return (
    error instanceof CideryError &&
    /\.lock'|index file|loose object|bad object|corrupt|unable to (?:create|write)|pack.*(?:missing|bad)/i.test(error.message)
  )
}

/** A URL without what may be a secret in it. */
function shown(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//')
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`
}
