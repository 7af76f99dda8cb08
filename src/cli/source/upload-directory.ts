import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import type { Api } from '../client/api.ts'
import { uploadFile } from '../client/upload.ts'
import type { Progress } from '../render/progress.ts'
import { sizeText } from '../render/time.ts'
import { packDirectory } from './pack-directory.ts'

export interface UploadDirectoryOptions {
  readonly directory: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

const mostNotes = 20

/** Packs a directory and uploads it; resolves with the digest of the archive. Bytes that the controller has are not sent again. */
export async function uploadDirectory(cli: Cli, api: Api, { directory, progress, signal }: UploadDirectoryOptions): Promise<string> {
  const facts = await stat(directory).catch(() => undefined)
  if (facts?.isDirectory() !== true)
    throw new CideryError('INVALID_INPUT', `--source ${directory} is no directory`, { hint: 'give a directory, a git URL#COMMIT, or none' })
  const temporary = await mkdtemp(join(cli.temporaryDirectory, 'cidery-source-'))
  try {
    const into = join(temporary, 'source.tar.zst')
    const leftOut: string[] = []
    const packed = await packDirectory({
      directory,
      into,
      signal,
      ignoreCase: cli.platform === 'darwin',
      leftOut: (path, reason) => leftOut.push(`left out ${path}: ${reason}`),
      packed: (count) => void (cli.stderr.isTTY && count % 200 === 0 && progress.say(`packing ${directory}: ${count} files`)),
    })
    for (const line of leftOut.slice(0, mostNotes)) await progress.note(line)
    if (leftOut.length > mostNotes) await progress.note(`… and ${leftOut.length - mostNotes} more were left out`)
    await progress.say(`uploading ${directory}: ${packed.entries} entries, ${sizeText(packed.sizeBytes)}`)
    await uploadFile(cli, api, {
      path: into,
      sizeBytes: packed.sizeBytes,
      digest: packed.digest,
      signal,
      sent: (bytes) =>
        void (cli.stderr.isTTY && progress.say(`uploading ${directory}: ${sizeText(bytes)} of ${sizeText(packed.sizeBytes)}`)),
    })
    return packed.digest
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}
