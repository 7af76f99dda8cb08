import { CideryError } from '../../../model/errors.ts'
import type { Cli } from '../../cli.ts'
import { openApi, type Api } from '../../client/api.ts'
import { readHost } from '../../client/operation.ts'
import { listAll } from '../../client/pages.ts'
import { uploadFile } from '../../client/upload.ts'
import type { HostView, OperationView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { makeProgress, type Progress } from '../../render/progress.ts'
import { operationState } from '../../render/states.ts'
import { sizeText } from '../../render/time.ts'
import { readReleaseArchive, type ReleaseArchive } from '../../source/release-archive.ts'
import { UsageError } from '../../usage-error.ts'
import { durationOption } from '../../values.ts'
import { operate, operateOptions, type OperateOptions } from '../host/operate.ts'

interface UpgradeOptions extends OperateOptions {
  readonly from?: readonly string[]
  readonly pool?: string
  readonly allowDowngrade?: boolean
  readonly deadline?: string
}

/** A host and the archive that is for it. */
interface Target {
  readonly host: HostView
  readonly archive: ReleaseArchive
}

const standardDeadline = '2m'
const mostHosts = 100_000

export const upgrade = command<UpgradeOptions>({
  name: 'upgrade',
  summary: 'put another release in place of the agent of hosts, one after the other',
  examples: [
    [
      'cidery agent upgrade mini-1 --from cidery-0.2.0-darwin-arm64.tar.gz',
      'and wait until the new one is in sync, or the old one goes on',
    ],
    ['cidery agent upgrade --pool linux --from cidery-0.2.0-linux-x64.tar.gz --from cidery-0.2.0-linux-arm64.tar.gz', 'a whole pool'],
    ['cidery agent upgrade mini-1 --from cidery-0.1.9-darwin-arm64.tar.gz --allow-downgrade', 'back to an older one'],
  ],
  details:
    'The host fetches the archive, checks every file, and tries whether it starts; then the new agent runs on trial. If it is not in sync before the deadline, the old one goes on. Running jobs do not notice. The first host that does not succeed ends it. It needs the scope exec. Ends with 0 only when every host runs the new release; a release that runs there already ends as STALE_BINARY, which is not a success. With --pool, hosts that have it are left out, and so are hosts that do not report.',
  arguments: [{ name: '[host...]', about: 'names or ids of the hosts', completes: 'host' }],
  options: [
    { flags: '--from <archive>', about: 'what npm run dist made; once per platform', many: true, completes: 'file' },
    { flags: '--pool <name>', about: 'every host of this pool', completes: 'pool' },
    { flags: '--allow-downgrade', about: 'also when it is older than what runs' },
    { flags: '--deadline <duration>', about: `how long the new agent has to be in sync (default: ${standardDeadline})` },
    ...operateOptions,
  ],
  prints: 'view',
  async run(cli, { args, options }) {
    const deadlineS = readDeadline(options.deadline)
    if ((args.length === 0) === (options.pool === undefined)) throw new UsageError('name hosts, or a pool with --pool')
    const archives = await readArchives(options.from ?? [])
    const api = await openApi(cli)
    const progress = makeProgress(cli)
    const targets = await findTargets({ api, progress, options }, args, archives)
    await uploadAll(cli, api, { targets, progress })
    const done: OperationView[] = []
    for (const target of targets) {
      const operation = await upgradeOne(cli, target, { options, deadlineS, progress })
      done.push(operation)
      if (options.detach !== true && operation.state !== 'SUCCESS') break
    }
    await printUpgrades(cli, done, targets)
    const ok = options.detach === true || done.every(({ state }) => state === 'SUCCESS')
    return ok ? exitCodes.ok : exitCodes.failed
  },
})

function readDeadline(text: string | undefined): number {
  const seconds = Math.round((durationOption('--deadline', text ?? standardDeadline) ?? 0) / 1000)
  if (seconds < 10 || seconds > 3600) throw new UsageError(`--deadline ${text ?? ''} is too short or too long`, 'from 10s to 1h')
  return seconds
}

async function readArchives(paths: readonly string[]): Promise<ReadonlyMap<string, ReleaseArchive>> {
  if (paths.length === 0) throw new UsageError('an archive is missing', 'add --from cidery-<version>-<platform>.tar.gz')
  const archives = new Map<string, ReleaseArchive>()
  for (const path of paths) {
    const archive = await readReleaseArchive(path)
    const other = archives.get(archive.platform)
    if (other !== undefined) throw new UsageError(`${other.path} and ${path} are both for ${archive.platform}`)
    archives.set(archive.platform, archive)
  }
  return archives
}

interface Asked {
  readonly api: Api
  readonly progress: Progress
  readonly options: UpgradeOptions
}

/** The hosts and what each gets. Nothing is asked of any when one of them has no archive. */
async function findTargets(
  { api, progress, options }: Asked,
  names: readonly string[],
  archives: ReadonlyMap<string, ReleaseArchive>,
): Promise<readonly Target[]> {
  const targets: Target[] = []
  const add = (host: HostView): void => void targets.push({ host, archive: archiveFor(host, archives) })
  for (const name of names) add(await readHost(api, name))
  if (options.pool === undefined) return targets
  const { items } = await listAll<HostView>(api, '/hosts', { query: { pool: options.pool }, limit: mostHosts })
  for (const host of items) {
    const why = leftOut(host, { archives, queueIfLost: options.queueIfLost === true })
    if (why === null) add(host)
    else await progress.note(`${host.name} is left out: ${why}`)
  }
  return targets
}

function leftOut(
  host: HostView,
  { archives, queueIfLost }: { readonly archives: ReadonlyMap<string, ReleaseArchive>; readonly queueIfLost: boolean },
): string | null {
  const runs = host.facts?.agentRelease?.sha256 ?? null
  if (runs !== null && archives.get(platformOf(host))?.release === runs) return 'it runs this release'
  if (host.state === 'retired' || host.facts === null) return `it is ${host.state}`
  return host.state === 'up' || queueIfLost ? null : `it is ${host.state}`
}

function platformOf({ facts }: HostView): string {
  return facts === null ? 'unknown' : `${facts.os === 'macos' ? 'darwin' : facts.os}-${facts.arch}`
}

function archiveFor(host: HostView, archives: ReadonlyMap<string, ReleaseArchive>): ReleaseArchive {
  const platform = platformOf(host)
  const archive = archives.get(platform)
  if (archive !== undefined) return archive
  const given = [...archives.keys()].join(', ')
  throw new CideryError('INVALID_INPUT', `${host.name} is ${platform}, and no archive is for that (${given})`, {
    hint: `add --from with the archive for ${platform}`,
  })
}

interface Upload {
  readonly targets: readonly Target[]
  readonly progress: Progress
}

async function uploadAll(cli: Cli, api: Api, { targets, progress }: Upload): Promise<void> {
  for (const archive of new Set(targets.map((target) => target.archive))) {
    const { path, sizeBytes, digest } = archive
    await progress.say(`uploading ${path}: ${sizeText(sizeBytes)}`)
    await uploadFile(cli, api, { path, sizeBytes, digest })
  }
}

interface UpgradeOne {
  readonly options: UpgradeOptions
  readonly deadlineS: number
  readonly progress: Progress
}

async function upgradeOne(cli: Cli, { host, archive }: Target, { options, deadlineS, progress }: UpgradeOne): Promise<OperationView> {
  const { digest, sizeBytes, version, release } = archive
  await progress.note(`${host.name}: ${host.facts?.agentVersion ?? 'unknown'} → ${version}`)
  const request = {
    kind: 'upgradeAgent' as const,
    blob: digest,
    sizeBytes,
    version,
    release,
    allowDowngrade: options.allowDowngrade === true,
    deadlineS,
  }
  const operation = await operate(cli, { host: host.id, request, options })
  if (operation.state === 'STALE_BINARY') await progress.note(`warning: ${host.name}: ${operation.reason}`)
  return operation
}

async function printUpgrades(cli: Cli, operations: readonly OperationView[], targets: readonly Target[]): Promise<void> {
  const nameOf = new Map<string, string>(targets.map(({ host }) => [host.id, host.name]))
  await printList(cli, {
    items: operations,
    name: (operation) => operation.id,
    empty: 'no host needs it',
    columns: [
      { head: 'HOST', cell: (operation) => nameOf.get(operation.hostId) ?? operation.hostId },
      { head: 'OPERATION', cell: (operation) => operation.id },
      { head: 'STATE', cell: operationState },
      { head: 'REASON', cell: (operation) => operation.reason },
    ],
  })
}
