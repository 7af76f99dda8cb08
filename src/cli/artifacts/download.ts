import { resolve } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import { isTransient, networkError } from '../client/answer-error.ts'
import type { Api } from '../client/api.ts'
import type { Artifact } from '../client/views.ts'
import type { Progress } from '../render/progress.ts'
import { sizeText } from '../render/time.ts'
import { makeSafeDirectory } from './safe-directory.ts'
import type { SafeDirectory } from './safe-directory.ts'

export interface DownloadOptions {
  readonly jobId: string
  readonly artifacts: readonly Artifact[]
  readonly directory: string
  readonly progress: Progress
}

const mostTries = 5

/** Brings artifacts into a directory, each checked against its digest. False when one could not be brought; each reason is told. */
export async function downloadArtifacts(cli: Cli, api: Api, { jobId, artifacts, directory, progress }: DownloadOptions): Promise<boolean> {
  const target = await makeSafeDirectory(resolve(cli.cwd, directory))
  let failed = 0
  for (const artifact of artifacts) {
    await progress.say(`artifact ${artifact.path} (${sizeText(artifact.sizeBytes)})`)
    try {
      await downloadOne(cli, api, { jobId, artifact, target })
    } catch (error) {
      failed += 1
      await progress.note(`artifact ${artifact.path}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  await progress.note(
    `${artifacts.length - failed} artifact${artifacts.length - failed === 1 ? '' : 's'} in ${directory}${failed === 0 ? '' : `, ${failed} failed`}`,
  )
  return failed === 0
}

interface OneDownload {
  readonly jobId: string
  readonly artifact: Artifact
  readonly target: SafeDirectory
}

async function downloadOne(cli: Cli, api: Api, { jobId, artifact, target }: OneDownload): Promise<void> {
  const path = artifact.path.split('/').map(encodeURIComponent).join('/')
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await api.open('GET', `/jobs/${encodeURIComponent(jobId)}/artifacts/${path}`)
      await target.write(artifact, answer.body)
      return
    } catch (caught) {
      const error = caught instanceof CideryError || isFileError(caught) ? caught : networkError(api.url(), caught)
      if (!isTransient(error) || attempt === mostTries) throw error
      await cli.timers.sleep(200 * 2 ** attempt)
    }
  }
}

/** Errors of the local disk carry the call that failed; those of the network carry none of these. */
function isFileError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    typeof error.syscall === 'string' &&
    /^(?:open|mkdir|lstat|rename|chmod|write|unlink)$/.test(error.syscall)
  )
}
