import type { Cli } from '../cli.ts'
import type { Api } from '../client/api.ts'
import type { JobRequest } from '../client/submit.ts'
import type { Progress } from '../render/progress.ts'
import type { SourceChoice } from './job-options.ts'

export interface PrepareSourceOptions {
  readonly source: SourceChoice
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** The source as the job names it; a directory is uploaded first. */
export async function prepareSource(
  cli: Cli,
  api: Api,
  { source, progress, signal }: PrepareSourceOptions,
): Promise<Pick<JobRequest, 'source'>> {
  if (source.kind === 'none') return {}
  if (source.kind !== 'directory') return { source }
  // Packing brings its own modules, which a command without a directory does not pay for.
  const { uploadDirectory } = await import('../source/upload-directory.ts')
  return { source: { kind: 'upload', blob: await uploadDirectory(cli, api, { directory: source.path, progress, signal }) } }
}
