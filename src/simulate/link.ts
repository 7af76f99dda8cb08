import { onAbort } from '../act/agent/on-abort.ts'
import { CideryError } from '../model/errors.ts'
import type { HostId } from '../model/id.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { ControllerLink } from '../ports/agent.ts'
import type { Timers } from '../ports/time.ts'
import { announceKey } from '../record/host-keys.ts'
import { appendAttemptLog, finishAttemptLog, secretsOfAttempt } from '../serve/attempt-bytes.ts'
import { simulatedBox, type SimulatedController } from './controllers.ts'
import type { Tell } from './happening.ts'
import type { Line } from './line.ts'

export interface LinkSurroundings {
  readonly host: { readonly id: HostId; readonly name: string }
  readonly line: Line
  readonly timers: Timers
  readonly controllers: readonly SimulatedController[]
  readonly tell: Tell
}

type Work<T> = (core: Parameters<Parameters<SimulatedController['ask']>[0]>[0], signal: AbortSignal) => Promise<T>

interface Asking {
  readonly limitMs?: Milliseconds
  readonly signal?: AbortSignal | undefined
}

/** As long as the real link waits for an answer that has no reason to take longer, and above the time that a poll is parked. */
const shortMs: Milliseconds = 30_000
const syncMs: Milliseconds = 15_000

const origin = '127.0.0.1'

/** The way of one agent to its controllers: over its line to the one that answered last, else to the others, each once. What travels is JSON. */
export function simulatedLink(around: LinkSurroundings): ControllerLink {
  const { host, line, controllers, timers } = around
  const author = { actor: `host:${host.name}`, origin }
  let preferred = 0

  async function ask<T>(work: Work<T>, { limitMs = shortMs, signal }: Asking = {}): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      const at = preferred
      try {
        return await askOne(at, work, { limitMs, signal })
      } catch (error) {
        if (signal?.aborted === true || !isAway(error)) throw error
        if (preferred === at) preferred += 1
        if (tried >= controllers.length) throw error
      }
    }
  }

  async function askOne<T>(at: number, work: Work<T>, { limitMs, signal }: Asking & { readonly limitMs: Milliseconds }): Promise<T> {
    const controller = controllers[at % controllers.length]
    if (controller === undefined) throw new CideryError('UNREACHABLE', 'there is no controller')
    const leaving = new AbortController()
    const leave = (): void => leaving.abort(signal?.reason)
    const late = timers.after(limitMs, () => leaving.abort(new CideryError('UNREACHABLE', `${controller.name} gave no answer in time`)))
    const stopListening = signal === undefined ? null : onAbort(signal, leave)
    try {
      return await line.carry((far) => controller.ask((core) => work(core, far)), leaving.signal)
    } finally {
      late.cancel()
      stopListening?.()
    }
  }

  return {
    enrol: () => Promise.reject(new CideryError('UNSUPPORTED', 'simulated hosts are enrolled')),
    sync(request, signal) {
      const text = JSON.stringify(request)
      return ask(
        async (core, far) => {
          const caller = { hostId: host.id, hostName: host.name, origin, signal: far }
          const answer = await core.sync.handle(caller, JSON.parse(text) as typeof request)
          around.tell({ kind: 'heard', host: host.name })
          return JSON.parse(JSON.stringify(answer)) as typeof answer
        },
        { limitMs: request.waitMs + syncMs, signal },
      )
    },
    appendLog: (id, offset, bytes) =>
      ask((core) => appendAttemptLog(core.services, { hostId: host.id, id, offset }, piece(Uint8Array.from(bytes)))),
    appendBuildLog: () => Promise.reject(new CideryError('UNSUPPORTED', 'simulated builds keep no logs')),
    finishLog: (id, length) => ask((core) => finishAttemptLog(core.services, author, { hostId: host.id, id, length })),
    uploadBlob: () => Promise.reject(new CideryError('UNSUPPORTED', 'simulated jobs keep no artifacts')),
    downloadBlob: () => Promise.reject(new CideryError('UNSUPPORTED', 'simulated jobs bring no files')),
    fetchSecrets: (id) => ask((core) => secretsOfAttempt({ ...core.services, box: simulatedBox }, { hostId: host.id, id })),
    rotateKey: (keyHash) => ask((core) => core.services.recorder.write(author, (tx) => announceKey(tx.db, host.id, keyHash))),
    health: () => ask(async () => true).catch(() => false),
    attachStream: () => Promise.reject(new CideryError('UNSUPPORTED', 'no streams in the simulation')),
  }
}

/** As the real link sees it: who cannot reach its database is as far away as who does not answer. */
function isAway(error: unknown): boolean {
  return error instanceof CideryError && (error.code === 'UNREACHABLE' || error.code === 'UNAVAILABLE')
}

async function* piece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
