import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CideryError } from '../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../ports/engine.ts'

/*
 * All of this runs as the job's user inside its sandbox: whatever links the job laid, nothing is written that the job could not write
 * itself. The bytes go to a file beside the wanted one; it takes its place only when as many arrived as were sent, so that a source that
 * broke never looks like a whole file. A link at the wanted place is replaced, not followed.
 */
const begin = 'set -eu; umask 077; part=$(dirname -- "$1")/$2; set -C'
const write = 'mkdir -p -- "${part%/*}"; trap \'rm -f -- "$part"\' EXIT; cat >"$part"; trap - EXIT'
const finish = [
  'trap \'rm -f -- "$part"\' EXIT',
  '[ "$(($(wc -c <"$part")))" = "$4" ] || { echo "the file is not whole" >&2; exit 1; }',
  'chmod -- "$3" "$part"',
  'if [ -d "$1" ] && [ ! -L "$1" ]; then echo "$1 is a directory" >&2; exit 1; fi',
  'if [ -L "$1" ]; then rm -f -- "$1"; fi',
  'mv -f -- "$part" "$1"',
  'trap - EXIT',
].join('; ')

export interface FileToPut {
  readonly path: string
  readonly content: AsyncIterable<Uint8Array> | Uint8Array
  readonly mode: number
}

type Launch = (command: SandboxCommand) => LaunchCommand

/** Streams bytes into a file inside a sandbox; ENGINE_FAILED with the reason (no room, a directory of that name, …). */
export async function putFileInside(launch: Launch, { path, content, mode }: FileToPut): Promise<void> {
  if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) {
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(path)} is not an absolute path of a file`)
  }
  const part = `.cidery-${randomBytes(9).toString('base64url')}`
  const words = [path, part, (mode & 0o777).toString(8)] as const
  const step = { launch, path }
  if (content instanceof Uint8Array) {
    await runStep(step, [`${begin}; ${write}; ${finish}`, ...words, String(content.length)], [content])
    return
  }
  let length = 0
  async function* counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      length += chunk.length
      yield chunk
    }
  }
  try {
    await runStep(step, [`${begin}; ${write}`, ...words], counted(content))
  } catch (error) {
    await runStep(step, [`${begin}; rm -f -- "$part"`, ...words], []).catch(() => undefined)
    throw error
  }
  await runStep(step, [`${begin}; ${finish}`, ...words, String(length)], [])
}

interface Step {
  readonly launch: Launch
  readonly path: string
}

/** One script inside, fed from a source; the source's own failure comes first, then what the script complained about. */
async function runStep(
  { launch, path }: Step,
  [script, ...words]: readonly [string, ...string[]],
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const { argv, env, cwd } = launch({
    argv: ['/bin/sh', '-c', script, 'cidery-put', ...words],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    cwd: '/',
  })
  const child = spawn(argv[0], argv.slice(1), { env, cwd, detached: true, stdio: ['pipe', 'ignore', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString('utf8')}`.slice(-500)))
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const sent = pipeline(Readable.from(source), child.stdin).then(
    () => null,
    (error: NodeJS.ErrnoException) => error,
  )
  const [broken, code] = await Promise.all([sent, closed])
  // A script that stopped reading says why by its own words.
  const stoppedReading = broken !== null && (broken.code === 'EPIPE' || broken.code === 'ECONNRESET')
  if (code === 0 && (broken === null || stoppedReading)) return
  const said = complaint.trim().split('\n').at(-1) ?? ''
  const reason = broken !== null && !stoppedReading ? broken.message : said === '' ? `code ${code ?? 'none'}` : said
  throw new CideryError('ENGINE_FAILED', `the file ${path} could not be written: ${reason}`, { cause: broken ?? undefined })
}
