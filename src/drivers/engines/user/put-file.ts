import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CideryError } from '../../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../../ports/engine.ts'

/**
 * Runs as the job's user inside its sandbox: whatever links the job laid, nothing is written that the job could not write itself.
 * The file appears whole or not at all, and a link at its place is replaced, not followed.
 */
const writeScript = `set -e
umask 077
directory=$(dirname -- "$1")
mkdir -p -- "$directory"
part=$directory/.cidery-part-$$
trap 'rm -f -- "$part"' EXIT
set -C
cat >"$part"
read -r verdict <&3 || exit 1
[ "$verdict" = whole ] || exit 1
chmod -- "$2" "$part"
if [ -d "$1" ] && [ ! -L "$1" ]; then echo "$1 is a directory" >&2; exit 1; fi
mv -f -T -- "$part" "$1" 2>/dev/null || { rm -f -- "$1"; mv -f -- "$part" "$1"; }
trap - EXIT
`

export interface FileToPut {
  readonly path: string
  readonly content: AsyncIterable<Uint8Array> | Uint8Array
  readonly mode: number
}

/** Streams bytes into a file inside a sandbox; ENGINE_FAILED with the reason (no room, a directory of that name, …). */
export async function putFileInside(launch: (command: SandboxCommand) => LaunchCommand, file: FileToPut): Promise<void> {
  if (!file.path.startsWith('/') || file.path.includes('\0'))
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(file.path)} is not an absolute path`)
  const { argv, env, cwd } = launch({
    argv: ['/bin/sh', '-c', writeScript, 'cidery-put', file.path, (file.mode & 0o777).toString(8)],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    cwd: '/',
  })
  const child = spawn(argv[0], argv.slice(1), { env, cwd, detached: true, stdio: ['pipe', 'ignore', 'pipe', 'pipe'] })
  const [input, , errors, verdict] = child.stdio as unknown as [Writable, null, Readable, Writable]
  verdict.on('error', () => undefined)
  let complaint = ''
  errors.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString('utf8')}`.slice(-500)))
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const source = file.content instanceof Uint8Array ? [file.content] : file.content
  const [sent, code] = await Promise.all([
    pipeline(Readable.from(source), input).then(
      () => {
        verdict.end('whole\n')
        return null
      },
      // The end of input alone would make a source that broke look like a whole file.
      (error: Error) => {
        verdict.end()
        return error
      },
    ),
    closed,
  ])
  if (code === 0 && sent === null) return
  const reason = complaint.trim().split('\n').at(-1) ?? ''
  throw new CideryError(
    'ENGINE_FAILED',
    `the file ${file.path} could not be written: ${reason === '' ? (sent?.message ?? `code ${code ?? 'none'}`) : reason}`,
    {
      cause: sent ?? undefined,
    },
  )
}
