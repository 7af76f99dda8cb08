import { openApi } from '../../client/api.ts'
import type { Artifact, ArtifactFailure } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList, say } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sizeText } from '../../render/time.ts'

interface ArtifactsOptions {
  readonly download?: string
}

export const artifacts = command<ArtifactsOptions>({
  name: 'artifacts',
  summary: 'list or download what a job kept',
  examples: [
    ['cidery job artifacts job_01k…', 'list them'],
    ['cidery job artifacts job_01k… --download out', 'bring them into a directory'],
  ],
  arguments: [{ name: '<job>', about: 'id of the job', completes: 'job' }],
  options: [{ flags: '--download <directory>', about: 'where to put them', completes: 'directory' }],
  prints: 'view',
  async run(cli, { args: [id = ''], options }) {
    const api = await openApi(cli)
    const found = await api.get<{ readonly items: readonly Artifact[]; readonly failures: readonly ArtifactFailure[] }>(
      `/jobs/${encodeURIComponent(id)}/artifacts`,
    )
    for (const failure of found.failures) await say(cli, `artifact ${failure.path ?? failure.pattern}: ${failure.reason}`)
    if (options.download !== undefined) {
      const { downloadArtifacts } = await import('../../artifacts/download.ts')
      const progress = makeProgress(cli)
      const all = await downloadArtifacts(cli, api, { jobId: id, artifacts: found.items, directory: options.download, progress })
      await progress.clear()
      if (!all) return exitCodes.failed
      if (cli.settings.output === 'table') return exitCodes.ok
    }
    await printList(cli, {
      items: found.items,
      name: (artifact) => artifact.path,
      empty: 'no artifacts',
      columns: [
        { head: 'PATH', cell: (artifact) => artifact.path, shrink: true },
        { head: 'SIZE', cell: (artifact) => sizeText(artifact.sizeBytes), align: 'right' },
        { head: 'MODE', cell: (artifact) => artifact.mode.toString(8) },
        { head: 'SHA256', cell: (artifact) => artifact.blob, wide: true },
      ],
    })
    return exitCodes.ok
  },
})
