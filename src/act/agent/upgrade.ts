import { formatDuration, second } from '../../model/instant.ts'
import { compareVersions, type UpgradeRequest } from '../../model/release.ts'
import type { InstalledRelease, Upgrade } from '../../ports/releases.ts'
import { downloadBlob } from './download.ts'
import type { OperationEnd, OperationTask } from './operation.ts'
import { messageOf } from './outcome.ts'

const syncPoll = 100

/** What comes of an upgrade: an end, or `restart` when the next agent of this host takes it on. */
export type UpgradeStep = OperationEnd | 'restart'

/** Why an upgrade is not even begun; null: it is. */
export function upgradeRefusal(task: OperationTask, request: UpgradeRequest): string | null {
  const { ports, agentVersion } = task.surroundings
  if (ports.releases.refusal !== null) return ports.releases.refusal
  if (request.allowDowngrade || compareVersions(request.version, agentVersion) >= 0) return null
  return `${request.version} is older than ${agentVersion}, which runs here: --allow-downgrade puts it in place all the same`
}

/**
 * Puts another release in place of this agent's: fetched, checked and tried before anything changes. The new one then starts on trial, with this one ready to
 * go on; it is what this host runs from the moment that it is in sync with the controller.
 */
export async function upgradeAgent(task: OperationTask, request: UpgradeRequest): Promise<UpgradeStep> {
  const { releases } = task.surroundings.ports
  const { id, state } = task.record()
  const upgrade = await releases.upgrade()
  if (upgrade?.operationId === id) return afterTrial(task, upgrade)
  // It was about to be tried, and nothing is left that tells of it.
  if (state === 'AWAITING_RECONNECT' || releases.describe().sha256 === request.release) return stale(task)
  const release = await prepare(task, request)
  task.kill.throwIfAborted()
  await releases.begin(id, release, request.deadlineS * second)
  await task.move('AWAITING_RECONNECT', { reason: `${request.version} has ${formatDuration(request.deadlineS * second)} to be in sync` })
  await task.heard()
  return 'restart'
}

async function prepare(task: OperationTask, request: UpgradeRequest): Promise<InstalledRelease> {
  const { ports, stopping } = task.surroundings
  const signal = AbortSignal.any([stopping, task.kill])
  const lines: string[] = []
  const say = async (line: string): Promise<void> => {
    lines.push(`${line}\n`)
    await task.move(task.record().state, { outputTail: lines.join('') })
  }
  await say(`fetching cidery ${request.version}: ${Math.ceil(request.sizeBytes / 1024 ** 2)} MiB`)
  const release = await ports.releases.stage(downloadBlob(ports, request.blob, signal), request)
  await say(`every file is as built from ${release.commit ?? 'sources that it does not name'}: ${release.path}`)
  await ports.releases.check(release, signal)
  await say('it starts here, and reads the settings of this host')
  return release
}

/** In the next agent of this host, whichever that is. */
async function afterTrial(task: OperationTask, upgrade: Upgrade): Promise<UpgradeStep> {
  const { ports, inTrial } = task.surroundings
  const { releases } = ports
  const { from, to, failure } = upgrade
  const running = releases.describe().sha256
  if (failure !== null) {
    await pruneReleases(task)
    return { state: 'ERROR', reason: `${from.version} goes on: ${failure}` }
  }
  if (running !== to.sha256) return stale(task)
  await inSync(task)
  await releases.confirm()
  await pruneReleases(task)
  const end = { state: 'SUCCESS', reason: `runs ${to.version}, built from ${to.commit ?? 'unnamed sources'}` } as const
  if (!inTrial) return end
  await task.move(end.state, { reason: end.reason })
  await task.heard()
  // The old agent led the trial, and is this process's parent: it gives way to the new one, which then stands where the service manager looks.
  return 'restart'
}

/** An upgrade after which the same program runs as before. */
function stale(task: OperationTask): OperationEnd {
  const { commit, path, sha256 } = task.surroundings.ports.releases.describe()
  const reason = `stale_binary: the program did not change; commit ${commit ?? 'unknown'}, path ${path}, SHA-256 ${sha256 ?? 'unknown'}`
  task.surroundings.ports.log.warn('stale_binary', { operation: task.record().id, commit, path, sha256 })
  return { state: 'STALE_BINARY', reason }
}

async function inSync(task: OperationTask): Promise<void> {
  const { ports, stopping, online } = task.surroundings
  while (!online()) await ports.timers.sleep(syncPoll, stopping)
}

/** Removes old releases that nothing needs. What cannot be removed now is tried with the next upgrade. */
async function pruneReleases(task: OperationTask): Promise<void> {
  const { supervisors, releases, log } = task.surroundings.ports
  try {
    const inUse = await supervisors.programs()
    if (inUse === null) return
    for (const path of await releases.prune(inUse)) log.info('an old release was removed', { path })
  } catch (error) {
    log.warn('old releases could not be removed', { error: messageOf(error) })
  }
}
