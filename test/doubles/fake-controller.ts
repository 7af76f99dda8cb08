import { createHash } from 'node:crypto'
import { CideryError } from '../../src/model/errors.ts'
import { attemptStates } from '../../src/model/job.ts'
import { isTerminalOperation, operationTransitions, type OperationState } from '../../src/model/operation.ts'
import {
  SyncRequest,
  type AgentSettings,
  type AttemptReport,
  type DesiredAttempt,
  type DesiredOperation,
  type DesiredStream,
  type EnrolRequest,
  type OperationReport,
  type SyncResponse,
} from '../../src/model/sync.ts'
import type { ControllerLink, StreamPeer } from '../../src/ports/agent.ts'
import type { Clock, Timers } from '../../src/ports/time.ts'

/** Something an agent did that the contract forbids. A test looks here at its end: it must be empty. */
export interface FakeController {
  readonly link: ControllerLink
  readonly violations: readonly string[]
  /** Every sync that arrived, with when (steady) and whether it was parked. */
  readonly syncs: readonly { readonly at: number; readonly waitMs: number; readonly request: SyncRequest }[]
  readonly attempts: ReadonlyMap<string, readonly AttemptReport[]>
  readonly operations: ReadonlyMap<string, readonly OperationReport[]>
  readonly blobs: Map<string, Buffer>
  readonly secrets: Map<string, Readonly<Record<string, string>>>
  readonly keys: Set<string>
  readonly enrolments: readonly EnrolRequest[]
  /** The key that requests come with. */
  keyShown: () => string
  /** What the way to the controller does now; an error makes every call fail. */
  fault: (call: string) => Error | null
  log(attemptId: string): string
  logDone(attemptId: string): boolean
  last(attemptId: string): AttemptReport | undefined
  assign(attempt: DesiredAttempt): void
  cancel(attemptId: string, by: string): void
  /** Lists an attempt no more, as after its job was given to another host. */
  drop(attemptId: string): void
  operate(operation: DesiredOperation): void
  killOperation(id: string): void
  setSandboxes(ids: readonly string[]): void
  open(stream: DesiredStream): void
  settings(change: Partial<AgentSettings>): void
  /** Another controller takes the lead. */
  takeOver(epoch: number, generation: number): void
  rotateKey(): void
}

const settleLimit = 1_000_000

/**
 * A controller behind the link port, in memory. It refuses what the contract forbids: revisions and states that go back, operations that leave
 * the table, two ends of one attempt, log bytes that change or leave a hole.
 */
export function fakeController(time: { readonly clock: Clock; readonly timers: Timers }, settings: AgentSettings): FakeController {
  const violations: string[] = []
  const syncs: { at: number; waitMs: number; request: SyncRequest }[] = []
  const attempts = new Map<string, AttemptReport[]>()
  const operations = new Map<string, OperationReport[]>()
  const blobs = new Map<string, Buffer>()
  const secrets = new Map<string, Readonly<Record<string, string>>>()
  const logs = new Map<string, Buffer>()
  const logEnds = new Map<string, number>()
  const desired = new Map<string, DesiredAttempt>()
  const desiredOperations = new Map<string, DesiredOperation>()
  const streams: DesiredStream[] = []
  const keys = new Set<string>()
  const enrolments: EnrolRequest[] = []
  let sandboxes: readonly string[] = []
  let present = settings
  let epoch = 1
  let generation = 1
  let rotate = false
  let waiters: (() => void)[] = []

  function changed(): void {
    generation += 1
    const woken = waiters
    waiters = []
    for (const wake of woken) wake()
  }

  function check(call: string): void {
    const error = controller.fault(call)
    if (error !== null) throw error
    const key = controller.keyShown()
    if (call !== 'health' && call !== 'enrol' && keys.size > 0 && !keys.has(sha256(key)))
      throw new CideryError('UNAUTHENTICATED', 'no such key')
  }

  function takeAttempt(report: AttemptReport): void {
    const before = attempts.get(report.id) ?? []
    const last = before.at(-1)
    if (last !== undefined && report.revision < last.revision) return
    const assigned = desired.get(report.id)
    if (assigned !== undefined && assigned.generation !== report.generation) {
      violations.push(`${report.id}: generation ${report.generation} was never assigned`)
    }
    if (last !== undefined) violations.push(...backwards(last, report))
    if ((report.state === 'ended') !== (report.outcome !== null)) {
      violations.push(`${report.id}: ${report.state} with outcome ${JSON.stringify(report.outcome)}`)
    }
    attempts.set(report.id, [...before, report])
    if (report.state === 'ended' && desired.delete(report.id)) generation += 1
  }

  function takeOperation(report: OperationReport): void {
    const before = operations.get(report.id) ?? []
    const last = before.at(-1)
    if (last !== undefined && report.revision <= last.revision) return
    const from: OperationState = last?.state ?? 'PENDING'
    const allowed: readonly OperationState[] = operationTransitions[from]
    if (report.state !== from && !allowed.includes(report.state)) violations.push(`${report.id}: ${from} cannot become ${report.state}`)
    operations.set(report.id, [...before, report])
    if (isTerminalOperation(report.state) && desiredOperations.delete(report.id)) generation += 1
  }

  async function sync(raw: SyncRequest, signal: AbortSignal): Promise<SyncResponse> {
    check('sync')
    const request = SyncRequest.parse(raw)
    syncs.push({ at: time.clock.steady(), waitMs: request.waitMs, request })
    for (const report of request.attempts) takeAttempt(report)
    for (const report of request.operations) takeOperation(report)
    if (request.waitMs > 0 && !isNews(request)) await park(request.waitMs, signal)
    check('answer')
    const answer = answerTo(request)
    rotate = false
    return answer
  }

  function isNews(request: SyncRequest): boolean {
    return request.seen.epoch !== epoch || request.seen.generation !== generation || request.attempts.length + request.operations.length > 0
  }

  async function park(waitMs: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController()
    const woken = new Promise<void>((resolve) => waiters.push(resolve))
    await Promise.race([woken, time.timers.sleep(Math.min(waitMs, settleLimit), AbortSignal.any([signal, timer.signal]))])
    timer.abort()
  }

  function answerTo(request: SyncRequest): SyncResponse {
    const same = request.seen.epoch === epoch && request.seen.generation === generation
    const wish = {
      attempts: [...desired.values()],
      operations: [...desiredOperations.values()],
      sandboxes,
      streams: [...streams],
      settings: present,
    }
    return {
      protocol: 1,
      hostId: 'host_00000000000000000000000001',
      hostName: 'mini-1',
      epoch,
      generation,
      controllerTime: time.clock.now(),
      desired: same ? null : wish,
      acknowledged: {
        attempts: request.attempts.map(({ id, revision, state }) => ({ id, revision, ended: state === 'ended' })),
        operations: request.operations.map(({ id, revision }) => ({ id, revision })),
      },
      wantFacts: false,
      rotateKey: rotate,
      checkpoint: null,
    }
  }

  const link: ControllerLink = {
    enrol(request) {
      check('enrol')
      enrolments.push(request)
      keys.add(request.keyHash)
      return Promise.resolve({ hostId: 'host_00000000000000000000000001', name: 'mini-1', pool: 'default' })
    },
    sync,
    async appendLog(attemptId, offset, bytes) {
      await Promise.resolve()
      check('appendLog')
      const held = logs.get(attemptId) ?? Buffer.alloc(0)
      if (offset > held.length) throw new CideryError('OFFSET_MISMATCH', 'a hole in the log', { details: { offset: held.length } })
      if (logEnds.has(attemptId) && bytes.length > 0) violations.push(`${attemptId}: log bytes after its end`)
      if (bytes.length > 1024 ** 2) violations.push(`${attemptId}: a piece of ${bytes.length} bytes`)
      const again = held.subarray(offset, offset + bytes.length)
      if (!again.equals(Buffer.from(bytes.subarray(0, again.length)))) violations.push(`${attemptId}: log bytes changed at ${offset}`)
      logs.set(attemptId, Buffer.concat([held, bytes.subarray(again.length)]))
      check('appendLogAnswer')
      return (logs.get(attemptId) ?? held).length
    },
    appendBuildLog: (buildId, offset, bytes) => link.appendLog(buildId, offset, bytes),
    async finishLog(attemptId, length) {
      await Promise.resolve()
      check('finishLog')
      if ((logs.get(attemptId)?.length ?? 0) !== length)
        violations.push(`${attemptId}: log ended at ${length}, held ${logs.get(attemptId)?.length ?? 0}`)
      logEnds.set(attemptId, length)
    },
    async uploadBlob(digest, sizeBytes, read) {
      check('uploadBlob')
      if (blobs.has(digest)) return
      const pieces: Uint8Array[] = []
      for await (const piece of read(0)) pieces.push(piece)
      const bytes = Buffer.concat(pieces)
      if (bytes.length !== sizeBytes || sha256(bytes) !== digest) throw new CideryError('INVALID_INPUT', 'size or digest differ')
      blobs.set(digest, bytes)
    },
    async downloadBlob(digest, offset) {
      await Promise.resolve()
      check('downloadBlob')
      const bytes = blobs.get(digest)
      if (bytes === undefined) throw new CideryError('NOT_FOUND', `no blob ${digest}`)
      return piecesOf(bytes.subarray(offset), () => check('downloadPiece'))
    },
    async fetchSecrets(attemptId) {
      await Promise.resolve()
      check('fetchSecrets')
      const found = secrets.get(attemptId)
      if (found === undefined) throw new CideryError('NOT_FOUND', `no attempt ${attemptId}`)
      return found
    },
    async rotateKey(keyHash) {
      await Promise.resolve()
      check('rotateKey')
      keys.add(keyHash)
    },
    async health(timeoutMs) {
      if (controller.fault('health') === null) return true
      await time.timers.sleep(timeoutMs)
      return false
    },
    attachStream: (_streamId: string, _run: StreamPeer) => Promise.reject(new CideryError('UNSUPPORTED', 'no streams here')),
  }

  const controller: FakeController = {
    link,
    violations,
    syncs,
    attempts,
    operations,
    blobs,
    secrets,
    keys,
    enrolments,
    keyShown: () => '',
    fault: () => null,
    log: (attemptId) => (logs.get(attemptId) ?? Buffer.alloc(0)).toString(),
    logDone: (attemptId) => logEnds.has(attemptId),
    last: (attemptId) => attempts.get(attemptId)?.at(-1),
    assign(attempt) {
      desired.set(attempt.id, attempt)
      changed()
    },
    cancel(attemptId, by) {
      const attempt = desired.get(attemptId)
      if (attempt !== undefined) desired.set(attemptId, { ...attempt, want: 'cancel', cancelBy: by })
      changed()
    },
    drop(attemptId) {
      desired.delete(attemptId)
      changed()
    },
    operate(operation) {
      desiredOperations.set(operation.id, operation)
      changed()
    },
    killOperation(id) {
      const operation = desiredOperations.get(id)
      if (operation !== undefined) desiredOperations.set(id, { ...operation, want: 'kill' })
      changed()
    },
    setSandboxes(ids) {
      sandboxes = ids
      changed()
    },
    open(stream) {
      streams.push(stream)
      changed()
    },
    settings(change) {
      present = { ...present, ...change }
      changed()
    },
    takeOver(nextEpoch, nextGeneration) {
      epoch = nextEpoch
      generation = nextGeneration - 1
      changed()
    },
    rotateKey() {
      rotate = true
      changed()
    },
  }
  return controller
}

/** What a later report of an attempt must not say after an earlier one. */
function backwards(last: AttemptReport, report: AttemptReport): readonly string[] {
  const wrong: string[] = []
  if (report.revision === last.revision && JSON.stringify(report) !== JSON.stringify(last))
    wrong.push(`revision ${report.revision} has two contents`)
  if (attemptStates.indexOf(report.state) < attemptStates.indexOf(last.state)) wrong.push(`went back from ${last.state} to ${report.state}`)
  if (last.outcome !== null && JSON.stringify(last.outcome) !== JSON.stringify(report.outcome)) wrong.push('has two outcomes')
  return wrong.map((text) => `${report.id}: ${text}`)
}

async function* piecesOf(bytes: Buffer, before: () => void): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) {
    await Promise.resolve()
    before()
    yield bytes.subarray(at, at + 65_536)
  }
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
