import { CideryError } from '../../src/model/errors.ts'
import type { EngineFacts, HostFacts } from '../../src/model/host.ts'
import { firstReport, type BuildReport, type DesiredBuild, type DesiredImages } from '../../src/model/image/build.ts'
import type { AttemptState, Outcome } from '../../src/model/job.ts'
import {
  syncProtocol,
  type AttemptReport,
  type DesiredAttempt,
  type DesiredOperation,
  type OperationReport,
  type SandboxReport,
  type SyncRequest,
  type SyncResponse,
} from '../../src/model/sync.ts'
import type { ControllerLink } from '../../src/ports/agent.ts'
import type { Clock, Timers } from '../../src/ports/time.ts'

/** What the agent does with an attempt: says how far it is, writes its log, and resolves with how it ended. */
export type Script = (attempt: ScriptedAttempt) => Promise<Outcome>

export interface ScriptedAttempt {
  readonly desired: DesiredAttempt
  readonly reach: (state: AttemptState | 'sourceReady') => void
  readonly write: (text: string | Uint8Array) => Promise<void>
  readonly sleep: (ms: number) => Promise<void>
  /** Resolves when the controller wants it cancelled, with by whom. */
  readonly cancelled: Promise<string>
}

export type OperationScript = (operation: DesiredOperation, say: (report: Partial<OperationReport>) => void) => Promise<void>

export interface SimulatedAgentOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly link: Pick<ControllerLink, 'sync' | 'appendLog' | 'finishLog'>
  readonly name: string
  readonly script?: Script
  readonly operation?: OperationScript
  readonly slots?: number
  readonly bootId?: string
  readonly instanceId?: string
  readonly pollMs?: number
  /** Has every sandbox that is wanted, running at once; default: it takes no notice of them. */
  readonly keepsSandboxes?: boolean
  /** Makes and brings builds of images; default: it knows nothing of them. */
  readonly images?: SimulatedImages
  /** What it sees otherwise than a plain host does. */
  readonly facts?: () => Partial<HostFacts>
}

export interface SimulatedImages {
  /** What becomes of a build, after a while. */
  readonly build: (build: DesiredBuild) => Promise<Partial<BuildReport>>
  /** Builds that it has. */
  readonly stored: Set<string>
  /** Whether it gets what it fetches. */
  readonly fetches: () => boolean
}

/** A simple agent that speaks `sync` and pretends to run things. One parked poll at a time, short syncs beside it for news. */
export interface SimulatedAgent {
  start(): void
  /** Goes away without a word, as on kill -9. What ran is forgotten unless it is started again with `adopt`. */
  kill(): void
  /** One sync now. */
  syncNow(): Promise<SyncResponse>
  /** One sync now, with what it sees. */
  tell(): Promise<SyncResponse>
  readonly attempts: ReadonlyMap<string, AttemptReport>
  readonly answers: readonly SyncResponse[]
  readonly errors: readonly unknown[]
  /** Attempts ever begun, in order. */
  readonly begun: readonly string[]
}

const engine: EngineFacts = {
  name: 'user',
  ok: true,
  problems: [],
  isolation: 'account',
  slots: 4,
  version: '1',
  capabilities: {
    snapshot: false,
    suspend: false,
    nested: false,
    vnc: false,
    networks: ['nat', 'none', 'host'],
    limits: ['cpu', 'memory', 'disk', 'processes'],
    images: false,
  },
}

export function simulatedFacts(at: number, change: { readonly hostname: string; readonly slots?: number }): HostFacts {
  const room = { cpu: 8, memoryMiB: 16_384, diskMiB: 100_000 }
  const proof = { ok: true, at, reason: '' }
  return {
    at,
    hostname: change.hostname,
    os: 'linux',
    osVersion: 'test',
    arch: 'x64',
    agentVersion: '0',
    capacity: room,
    free: room,
    load1: 0,
    diskUsed: 0.1,
    memoryFree: 1,
    network: { addresses: [], rxBytes: 0, txBytes: 0 },
    engines: [{ ...engine, slots: change.slots ?? 4 }],
    images: [],
    readiness: [{ engine: 'user', image: null, check: proof, boot: proof }],
    sandboxes: [],
    clockSkewMs: 0,
    problems: [],
  }
}

interface Held {
  report: AttemptReport
  acknowledged: number
  cancel: (by: string) => void
  logBytes: number
}

export function simulatedAgent(options: SimulatedAgentOptions): SimulatedAgent {
  const { clock, timers, link } = options
  const bootId = options.bootId ?? 'boot-1'
  const instanceId = options.instanceId ?? `instance-${options.name}`
  const held = new Map<string, Held>()
  const operations = new Map<string, { report: OperationReport; acknowledged: number }>()
  const sandboxes = new Map<string, SandboxReport>()
  const answers: SyncResponse[] = []
  const errors: unknown[] = []
  const begun: string[] = []
  const builds = new Map<string, { report: BuildReport; acknowledged: number }>()
  let seen = { epoch: 0, generation: 0 }
  let wantFacts = true
  let stop = new AbortController()

  function request(waitMs: number): SyncRequest {
    const facts = wantFacts ? look() : null
    return {
      protocol: syncProtocol,
      agentVersion: '0',
      bootId,
      instanceId,
      seen,
      waitMs,
      sentAt: clock.now(),
      facts,
      attempts: [...held.values()]
        .filter(({ report, acknowledged }) => report.revision > acknowledged)
        .map(({ report }) => ({ ...report })),
      operations: [...operations.values()]
        .filter(({ report, acknowledged }) => report.revision > acknowledged)
        .map(({ report }) => ({ ...report })),
      sandboxes: [...sandboxes.values()],
      ...(options.images === undefined ? {} : { builds: unacknowledged() }),
    }
  }

  function unacknowledged(): BuildReport[] {
    return [...builds.values()].filter(({ report, acknowledged }) => report.revision > acknowledged).map(({ report }) => ({ ...report }))
  }

  function look(): HostFacts {
    const plain = simulatedFacts(clock.now(), { hostname: options.name, slots: options.slots ?? 4 })
    return { ...plain, ...imageFacts(), ...options.facts?.() }
  }

  function imageFacts(): Partial<HostFacts> {
    if (options.images === undefined) return {}
    const ids = [...options.images.stored].toSorted()
    const at = clock.now()
    const proof = { ok: true, at, reason: '' }
    const image = {
      engine: 'tart' as const,
      metadata: null,
      reference: null,
      sizeBytes: 1024,
      storedAt: at,
      lastUsedAt: at,
      users: [],
      problems: [],
    }
    return {
      engines: [
        { ...engine, name: 'tart', isolation: 'vm', slots: options.slots ?? 2, capabilities: { ...engine.capabilities, images: true } },
      ],
      images: ids,
      storedImages: ids.map((id) => ({ ...image, id })),
      readiness: ids.map((id) => ({ engine: 'tart', image: id, check: proof, boot: proof })),
    }
  }

  function obeyImages(images: DesiredImages): void {
    for (const build of images.builds) if (!builds.has(build.id)) beginBuild(build)
    const { stored, fetches } = options.images ?? { stored: new Set<string>(), fetches: () => false }
    const wanted = images.holds.filter(({ build, fetch }) => fetch && !stored.has(build))
    if (wanted.length === 0 || !fetches()) return
    for (const { build } of wanted) stored.add(build)
    tellOfImages()
  }

  function tellOfImages(): void {
    wantFacts = true
    void exchange(0).catch((error: unknown) => errors.push(error))
  }

  function beginBuild(desired: DesiredBuild): void {
    const first: BuildReport = { ...firstReport(desired), state: 'building' }
    const entry = { report: first, acknowledged: -1 }
    builds.set(desired.id, entry)
    const mine = stop
    void options.images
      ?.build(desired)
      .then((end) => {
        if (mine.signal.aborted) return
        entry.report = { ...entry.report, ...end, revision: entry.report.revision + 1 }
        if (entry.report.state === 'built') options.images?.stored.add(desired.id)
        tellOfImages()
      })
      .catch((error: unknown) => void errors.push(error))
    void exchange(0).catch((error: unknown) => errors.push(error))
  }

  function acknowledge(acknowledged: SyncResponse['acknowledged']): void {
    for (const { id, revision, ended } of acknowledged.attempts) {
      const entry = held.get(id)
      if (entry === undefined) continue
      entry.acknowledged = Math.max(entry.acknowledged, revision)
      if (ended && entry.report.state === 'ended') held.delete(id)
    }
    for (const { id, revision, ended } of acknowledged.builds ?? []) {
      const entry = builds.get(id)
      if (entry === undefined) continue
      entry.acknowledged = ended ? Number.POSITIVE_INFINITY : Math.max(entry.acknowledged, revision)
    }
    for (const { id, revision } of acknowledged.operations) {
      const entry = operations.get(id)
      if (entry !== undefined) entry.acknowledged = Math.max(entry.acknowledged, revision)
    }
  }

  async function exchange(waitMs: number): Promise<SyncResponse> {
    const sent = request(waitMs)
    const answer = await link.sync(sent, stop.signal)
    answers.push(answer)
    if (sent.facts !== null) wantFacts = false
    if (answer.wantFacts) wantFacts = true
    acknowledge(answer.acknowledged)
    const lower = answer.epoch < seen.epoch || (answer.epoch === seen.epoch && answer.generation < seen.generation)
    if (answer.desired !== null && !lower) {
      seen = { epoch: answer.epoch, generation: answer.generation }
      obey(answer.desired)
    }
    return answer
  }

  function obey(desired: NonNullable<SyncResponse['desired']>): void {
    const listed = new Set(desired.attempts.map(({ id }) => id as string))
    for (const attempt of desired.attempts) {
      const entry = held.get(attempt.id)
      if (entry === undefined) begin(attempt)
      if (attempt.want === 'cancel') held.get(attempt.id)?.cancel(attempt.cancelBy ?? 'nobody')
    }
    for (const [id, entry] of held) if (!listed.has(id)) entry.cancel('not listed')
    for (const operation of desired.operations) beginOperation(operation)
    if (desired.images !== undefined && options.images !== undefined) obeyImages(desired.images)
    if (options.keepsSandboxes === true) keepSandboxes(desired.sandboxes)
  }

  function keepSandboxes(wanted: readonly string[]): void {
    const fresh = wanted.filter((id) => !sandboxes.has(id))
    for (const id of fresh)
      sandboxes.set(id, { id, engine: 'user', image: null, state: 'running', reason: '', createdAt: clock.now(), isolation: 'account' })
    if (fresh.length > 0) void exchange(0).catch((error: unknown) => errors.push(error))
  }

  function begin(desired: DesiredAttempt): void {
    begun.push(desired.id)
    let cancel: (by: string) => void = () => undefined
    const cancelled = new Promise<string>((resolve) => (cancel = resolve))
    const entry: Held = {
      report: {
        id: desired.id,
        jobId: desired.jobId,
        generation: desired.generation,
        revision: 0,
        state: 'assigned',
        times: {},
        outcome: null,
        isolation: 'account',
        logBytes: 0,
        artifacts: [],
        artifactFailures: [],
        notes: [],
      },
      acknowledged: -1,
      cancel,
      logBytes: 0,
    }
    held.set(desired.id, entry)
    const mine = stop
    const say = (change: Partial<AttemptReport>): void => {
      if (mine.signal.aborted) return
      entry.report = { ...entry.report, ...change, revision: entry.report.revision + 1 }
      void exchange(0).catch((error: unknown) => errors.push(error))
    }
    const script = options.script ?? (async () => ({ kind: 'exited', code: 0 }) as const)
    void script({
      desired,
      reach: (state) => say({ ...(state === 'sourceReady' ? {} : { state }), times: { ...entry.report.times, [state]: clock.now() } }),
      write: async (text) => {
        const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
        await patiently(() => link.appendLog(desired.id, entry.logBytes, bytes))
        entry.logBytes += bytes.length
      },
      sleep: (ms) => timers.sleep(ms, mine.signal),
      cancelled,
    })
      .then(async (outcome) => {
        if (mine.signal.aborted) return
        await patiently(() => link.finishLog(desired.id, entry.logBytes))
        say({ state: 'ended', outcome, logBytes: entry.logBytes, times: { ...entry.report.times, ended: clock.now() } })
      })
      .catch((error: unknown) => void errors.push(error))
  }

  /** The controller may be away for a while: what it did not get is sent again. */
  async function patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await work()
      } catch (error) {
        const away = error instanceof CideryError && (error.code === 'UNREACHABLE' || error.code === 'UNAVAILABLE')
        if (!away || tries > 300) throw error
        await timers.sleep(200, stop.signal)
      }
    }
  }

  function beginOperation(desired: DesiredOperation): void {
    const known = operations.get(desired.id)
    if (known !== undefined) {
      if (desired.want === 'kill' && known.report.state !== 'KILLED') sayOf(desired.id, { state: 'KILLED' })
      return
    }
    operations.set(desired.id, {
      report: {
        id: desired.id,
        generation: desired.generation,
        revision: 0,
        state: 'VALIDATING',
        exitCode: null,
        pid: null,
        outputTail: '',
        reason: '',
        rejected: null,
      },
      acknowledged: -1,
    })
    const script = options.operation ?? defaultOperation
    void script(desired, (change) => sayOf(desired.id, change)).catch((error: unknown) => errors.push(error))
  }

  function sayOf(id: string, change: Partial<OperationReport>): void {
    const entry = operations.get(id)
    if (entry === undefined || stop.signal.aborted) return
    entry.report = { ...entry.report, ...change, revision: entry.report.revision + 1 }
    void exchange(0).catch((error: unknown) => errors.push(error))
  }

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const pollMs = wantFacts ? 0 : (options.pollMs ?? 25_000)
        await exchange(pollMs)
        // Facts are asked for again until they are newer than what they shall prove: time has to pass.
        if (pollMs === 0) await timers.sleep(5, signal)
      } catch (error) {
        if (signal.aborted) return
        errors.push(error)
        await timers.sleep(1000, signal).catch(() => undefined)
      }
    }
  }

  return {
    start() {
      stop = new AbortController()
      void run(stop.signal)
    },
    kill() {
      stop.abort(new Error('killed'))
      held.clear()
    },
    syncNow: () => exchange(0),
    tell() {
      wantFacts = true
      return exchange(0)
    },
    get attempts() {
      return new Map([...held].map(([id, { report }]) => [id, report]))
    },
    answers,
    errors,
    begun,
  }

  async function defaultOperation(_operation: DesiredOperation, say: (report: Partial<OperationReport>) => void): Promise<void> {
    say({ state: 'EXECUTING' })
    say({ state: 'SUCCESS', exitCode: 0 })
  }
}
