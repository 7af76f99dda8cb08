import { z } from 'zod'
import { downloadBlob } from '../../act/agent/download.ts'
import { prepareBase } from '../../act/agent/images/base.ts'
import { buildLog } from '../../act/agent/images/build-log.ts'
import type { Build, BuildLog, Built } from '../../act/agent/images/build-request.ts'
import { buildImage, isHopeless } from '../../act/agent/images/build.ts'
import { buildProgress } from '../../act/agent/images/progress.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { CideryError } from '../../model/errors.ts'
import { BuildReport, firstReport, type DesiredBuild } from '../../model/image/build.ts'
import { parseImageReference } from '../../model/image/reference.ts'
import type { StoredImage } from '../../model/image/stored.ts'
import { second } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { ImageEngine } from '../../ports/images.ts'

/** What is known of a build across the agent's own death. */
export const BuildRecord = z.object({ build: z.literal(true), report: BuildReport })
export type BuildRecord = z.infer<typeof BuildRecord>

export interface OneBuildOptions {
  readonly ports: AgentPorts
  readonly engine: ImageEngine
  readonly hostName: () => string
  readonly blockedAddresses: readonly string[]
  /** Resolves when the engine has a slot that no job has. */
  readonly slot: (waiting: (reason: string) => void, signal: AbortSignal) => Promise<void>
  readonly owned: Build['owned']
  /** The report is another now. */
  readonly onReport: (report: BuildReport) => void
}

/** How often the report says how far a build is. */
const tellEvery = 2 * second

/** Makes a build that the controller wants, from its ingredients to its place in a registry. Never rejects: how it ended is in the report. */
export async function runBuild(options: OneBuildOptions, desired: DesiredBuild, signal: AbortSignal): Promise<void> {
  const { ports } = options
  let report = firstReport(desired)
  let toldAt = Number.NEGATIVE_INFINITY
  const say = (change: Partial<BuildReport>): void => {
    report = { ...report, ...change, revision: report.revision + 1 }
    toldAt = ports.clock.steady()
    options.onReport(report)
  }
  const log = buildLog(ports, desired.id, { onLength: (logBytes) => (report = { ...report, logBytes }) })
  const progress = buildProgress(ports.clock, (phases) => {
    const isNewPhase = phases.length !== report.phases.length
    if (isNewPhase || ports.clock.steady() - toldAt >= tellEvery) say({ phases: [...phases] })
  })
  try {
    await options.slot((reason) => say({ reason }), signal)
    say({ state: 'building', reason: 'Building VM image' })
    const work = { ...options, desired, progress, log: log.log, signal }
    const built = await makeBuild(work)
    const pushed = desired.pushTo === null ? notPushed('no registry is named for this image') : await push(work, built.image)
    progress.end()
    await log.written()
    const { tools, flakiness, image } = built
    const rounds = flakiness === null ? null : { ...flakiness, passes: Object.fromEntries(flakiness.passes) }
    say({
      state: 'built',
      reason: 'VM image built successfully',
      phases: [...progress.phases()],
      tools: [...tools],
      flakiness: rounds,
      metadata: image.metadata,
      sizeBytes: image.sizeBytes,
      ...pushed,
    })
  } catch (error) {
    log.log.line(messageOf(error))
    await log.written().catch(() => undefined)
    say({
      state: 'failed',
      retry: isHopeless(error) ? 'never' : 'soon',
      reason: `VM build failed: ${messageOf(signal.aborted ? signal.reason : error)}`.slice(0, 2000),
      phases: [...progress.phases()],
    })
  }
}

interface Work extends OneBuildOptions {
  readonly desired: DesiredBuild
  readonly progress: Build['progress']
  readonly log: BuildLog
  readonly signal: AbortSignal
}

async function makeBuild({ ports, engine, desired, progress, log, signal, ...options }: Work): Promise<Built> {
  const { id, name, recipe, identity, fromBase, productVersion, files, lock } = desired
  const archive = files === null ? null : downloadBlob(ports, files, signal)
  const ingredients = await ports.ingredients.unpack(archive, lock)
  try {
    const base = await prepareBase(desired, { engine, progress, log, signal })
    const request = {
      id,
      name,
      recipe,
      identity,
      base,
      ingredients,
      productVersion,
      fromBase,
      hostName: options.hostName(),
      network: 'nat' as const,
      blockedAddresses: options.blockedAddresses,
    }
    return await buildImage({ ports, engine, request, progress, log, signal, owned: options.owned })
  } finally {
    await ingredients.close()
  }
}

type Pushed = Pick<BuildReport, 'reference' | 'pushSkipped'>

function notPushed(why: string): Pushed {
  return { reference: null, pushSkipped: why.slice(0, 1000) }
}

/** A build that cannot be sent is a build all the same: it stays on this host, and the report says why. */
async function push({ engine, desired, progress, log, signal }: Work, image: StoredImage): Promise<Pushed> {
  if (desired.pushTo === null) return notPushed('')
  const { repository, tags } = desired.pushTo
  const where = parseImageReference(repository)
  progress.begin('push', { unit: 'bytes' })
  try {
    const to = { registry: where.registry, repository: where.repository, tags }
    const pushed = await engine.images.push(image.id, to, { signal, onProgress: ({ done, total }) => progress.bytes(done, total) })
    for (const { tag, reason } of pushed.failedTags) log.line(`the tag ${tag} was not moved: ${reason}`)
    log.line(`pushed as ${repository}@${pushed.digest}: ${pushed.sentBytes} bytes sent, ${pushed.reusedBytes} were there`)
    return { reference: `${repository}@${pushed.digest}`, pushSkipped: '' }
  } catch (error) {
    signal.throwIfAborted()
    log.line(`not pushed: ${messageOf(error)}`)
    return notPushed(error instanceof CideryError ? `${error.code}: ${error.message}` : messageOf(error))
  }
}
