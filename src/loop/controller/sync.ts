import { CideryError } from '../../model/errors.ts'
import type { Host } from '../../model/host.ts'
import { minute, second, type Milliseconds } from '../../model/instant.ts'
import type { Spec } from '../../model/spec.ts'
import { syncProtocol, type AgentSettings, type SyncRequest, type SyncResponse } from '../../model/sync.ts'
import { bringsNews, factsTakenAt, isOtherInstance } from '../../observe/host-report.ts'
import type { Log } from '../../ports/log.ts'
import type { Reader } from '../../ports/store.ts'
import type { Clock, Timers } from '../../ports/time.ts'
import type { Recorder } from '../../record/commit.ts'
import { readDesired } from '../../record/desired.ts'
import { keyIsDue } from '../../record/host-keys.ts'
import { recordReport, type StoredReport } from '../../record/host-sync.ts'
import { findHostRow } from '../../record/hosts.ts'
import { awaitsProof, liveOperationsOfHosts } from '../../record/operations.ts'
import { hostOf } from '../../record/rows.ts'
import type { SyncCaller, SyncHandler } from '../../serve/agent.ts'
import type { LastSeen } from './last-seen.ts'
import { createParking, type Left } from './parking.ts'

/** Facts older than this are asked for again, so that what placement counts on is never much older than a poll or two. */
const factsMaxAge = 5 * minute
const askAgain = 5 * second

/** Protocols that are answered: this one and the one before. */
export const servedProtocols: readonly number[] = [syncProtocol - 1, syncProtocol].filter((protocol) => protocol > 0)

export interface SyncHandlerOptions {
  readonly recorder: Recorder
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly lastSeen: LastSeen
  /** Epoch of the lead, read with the rest: agents refuse a lower one than they obeyed. */
  readonly epoch: (db: Reader) => Promise<number>
  readonly spec: () => Spec
  readonly settings: (host: Host) => AgentSettings
  readonly checkpoint: () => SyncResponse['checkpoint']
  /** Told of each sync that was answered; `parked`: it asked to wait for news. */
  readonly synced?: (sync: { readonly parked: boolean }) => void
  /** Polls parked at once at most; more are told to come back. */
  readonly maxParked?: number
}

interface Session {
  instanceId: string
  bootId: string
  /** Attempts that the host still runs though they are over here: it was told so once. */
  unwanted: ReadonlySet<string>
  /** Requests of this instance that are being answered now. */
  open: number
  /** When facts were last asked for, on the steady clock. */
  askedAt: Milliseconds | null
}

interface View {
  readonly host: Host
  readonly response: SyncResponse
}

/**
 * Answers `sync`: stores what the host saw (durable before the answer), renews its leases, and says what it should look like when that moved, at once or
 * when it moves while the poll is parked.
 */
export function createSyncHandler(options: SyncHandlerOptions): SyncHandler {
  const { recorder, clock, log } = options
  const parking = createParking(options.timers)
  const sessions = new Map<string, Session>()
  const maxParked = options.maxParked ?? 20_000
  const stopListening = recorder.onTouched(({ desiredOf, everything }) => (everything ? parking.callAll() : parking.call(desiredOf)))
  let closed = false

  async function handle(caller: SyncCaller, request: SyncRequest): Promise<SyncResponse> {
    requireServed(request)
    if (closed) throw new CideryError('UNAVAILABLE', 'the controller is stopping', { hint: 'the agent comes back by itself' })
    const session = enter(caller.hostId, request)
    session.open += 1
    try {
      const response = await answer(caller, request, session)
      options.synced?.({ parked: request.waitMs > 0 })
      return response
    } finally {
      session.open -= 1
    }
  }

  /** One agent per host: another instance of the same boot is refused while the first is being answered. */
  function enter(hostId: string, request: SyncRequest): Session {
    const known = sessions.get(hostId)
    if (known?.instanceId === request.instanceId) return known
    if (known !== undefined && known.open > 0 && isOtherInstance(known, request)) {
      log.warn('a second agent speaks for a host', { hostId, instanceId: request.instanceId, holder: known.instanceId })
      throw new CideryError('AGENT_LOCKED', 'another agent process speaks for this host now', {
        hint: 'stop one of them: each machine has one agent and an identity of its own (cidery host add)',
        details: { holder: known.instanceId },
      })
    }
    const session: Session = { instanceId: request.instanceId, bootId: request.bootId, unwanted: new Set(), open: 0, askedAt: null }
    sessions.set(hostId, session)
    return session
  }

  async function answer(caller: SyncCaller, request: SyncRequest, session: Session): Promise<SyncResponse> {
    const startedAt = clock.steady()
    const stored = await store(caller, request, session)
    options.lastSeen.note(caller.hostId, clock.now())
    if (stored !== null) keepUnwanted(session, request, stored.unwanted)
    const acknowledged = stored?.acknowledged ?? { attempts: [], operations: [] }
    for (;;) {
      const ticket = parking.ticket(caller.hostId)
      const view = await look(caller.hostId, { request, acknowledged })
      const waitMs = Math.min(request.waitMs, options.spec().limits.syncPoll) - (clock.steady() - startedAt)
      const isNews = view.response.desired !== null || hasNews(acknowledged) || asksForFacts(session, view.response)
      if (isNews || waitMs <= 0 || closed || caller.signal.aborted) return view.response
      const left = await park(caller, { ms: waitMs, ticket })
      options.lastSeen.note(caller.hostId, clock.now())
      if (left === 'displaced') return view.response
    }
  }

  /** An answer that only asks for facts goes out at once, but not again and again to an agent that has none to give. */
  function asksForFacts(session: Session, response: SyncResponse): boolean {
    const now = clock.steady()
    if (!response.wantFacts || (session.askedAt !== null && now - session.askedAt < askAgain)) return false
    session.askedAt = now
    return true
  }

  async function park(caller: SyncCaller, wait: { readonly ms: Milliseconds; readonly ticket: number }): Promise<Left> {
    if (parking.size() >= maxParked && !parking.has(caller.hostId)) {
      throw new CideryError('UNAVAILABLE', `${maxParked} hosts wait here already`, { hint: 'the agent comes back by itself' })
    }
    const left = await parking.park(caller.hostId, { ...wait, signal: caller.signal })
    if (caller.signal.aborted) throw new CideryError('UNREACHABLE', 'the agent went away')
    return left
  }

  /** Stores what is new; null when nothing is. */
  async function store(caller: SyncCaller, request: SyncRequest, session: Session): Promise<StoredReport | null> {
    // With news the host is read where the news is stored; reading it before as well would cost as much as the write.
    if (!bringsNews(request) && (await isAsReported(caller.hostId, request.bootId))) return null
    const stored = await recordReport(
      recorder,
      { actor: `host:${caller.hostName}`, origin: caller.origin },
      {
        hostId: caller.hostId,
        bootId: request.bootId,
        facts: request.facts,
        attempts: request.attempts,
        operations: request.operations,
        sandboxes: request.sandboxes,
        retryDelayMs: options.spec().limits.retryDelay,
        knownUnwanted: session.unwanted,
      },
    )
    if (stored === null) throw retired()
    return stored
  }

  async function isAsReported(hostId: string, bootId: string): Promise<boolean> {
    const row = await recorder.read((db) => findHostRow(db, hostId))
    if (row === undefined || row.state === 'retired') throw retired()
    return row.state === 'up' && row.boot_id === bootId
  }

  /** What the host should look like, read in one snapshot with the generation that it goes by. */
  async function look(
    hostId: string,
    about: { readonly request: SyncRequest; readonly acknowledged: SyncResponse['acknowledged'] },
  ): Promise<View> {
    const { request, acknowledged } = about
    return recorder.read(async (db) => {
      const row = await findHostRow(db, hostId)
      if (row === undefined || row.state === 'retired') throw retired()
      const host = hostOf(row)
      const epoch = await options.epoch(db)
      const moved = request.seen.epoch !== epoch || request.seen.generation < host.desiredGeneration
      const rows = moved ? await readDesired(db, host, clock.now()) : null
      const wantsProof = (await liveOperationsOfHosts(db, [hostId])).some(
        (operation) => awaitsProof(operation) && factsTakenAt(host) <= (operation.completedAt ?? 0),
      )
      const stale = clock.now() - factsTakenAt(host) > factsMaxAge
      return {
        host,
        response: {
          protocol: Math.min(request.protocol, syncProtocol),
          hostId: host.id,
          hostName: host.name,
          epoch,
          generation: host.desiredGeneration,
          controllerTime: clock.now(),
          desired: rows === null ? null : { ...rows, settings: options.settings(host) },
          acknowledged,
          wantFacts: wantsProof || stale,
          rotateKey: keyIsDue(row, clock.now(), options.spec().limits.hostKeyMaxAge),
          checkpoint: options.checkpoint(),
        },
      }
    })
  }

  return {
    handle,
    wakeAll: () => parking.callAll(),
    parkedHosts: () => parking.hosts(),
    close() {
      closed = true
      stopListening()
      parking.callAll()
    },
  }
}

/** Remembers of which attempts the host was told that they are over, until it says that they are. */
function keepUnwanted(session: Session, request: SyncRequest, unwanted: readonly string[]): void {
  const kept = new Set(session.unwanted)
  for (const { id } of request.attempts) kept.delete(id)
  for (const id of unwanted) kept.add(id)
  session.unwanted = kept
}

function hasNews(acknowledged: SyncResponse['acknowledged']): boolean {
  return acknowledged.attempts.length > 0 || acknowledged.operations.length > 0
}

function requireServed(request: SyncRequest): void {
  const oldest = servedProtocols[0] ?? syncProtocol
  if (request.protocol >= oldest) return
  throw new CideryError(
    'AGENT_TOO_OLD',
    `the agent speaks protocol ${request.protocol}; this controller answers ${servedProtocols.join(' and ')}`,
    {
      hint: 'install the cidery of the controller on this host; its jobs go on meanwhile',
      details: { served: servedProtocols },
    },
  )
}

function retired(): CideryError {
  return new CideryError('UNAUTHENTICATED', 'this host is not in the fleet any more', {
    hint: 'cidery host add, on the controller, gives a new line for it',
  })
}
