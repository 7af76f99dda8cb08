import { CideryError } from '../../model/errors.ts'
import { minute, second, type Milliseconds } from '../../model/instant.ts'
import type { Spec } from '../../model/spec.ts'
import { syncProtocol, type AgentSettings, type SyncRequest, type SyncResponse } from '../../model/sync.ts'
import { bringsNews, isOtherInstance } from '../../observe/host-report.ts'
import type { Log } from '../../ports/log.ts'
import type { Clock, Timers } from '../../ports/time.ts'
import type { Recorder } from '../../record/commit.ts'
import type { ImageRetention } from '../../record/desired.ts'
import { recordReport, type StoredReport } from '../../record/host-sync.ts'
import type { SyncCaller, SyncHandler } from '../../serve/agent.ts'
import { createKnownHosts, retired, type KnownHost, type WantedOfHost } from './known-hosts.ts'
import type { LastSeen } from './last-seen.ts'
import { createParking, type Left } from './parking.ts'

/**
 * Facts older than this are asked for again. What placement counts on does not wait for it: an agent tells at once what differs by more than noise, and
 * all of it in less than this time; so this is for one that kept it to itself.
 */
const factsMaxAge = 15 * minute
const askAgain = 5 * second

/** Protocols that are answered: this one and the one before. */
export const servedProtocols: readonly number[] = [syncProtocol - 1, syncProtocol].filter((protocol) => protocol > 0)

export interface SyncHandlerOptions {
  readonly recorder: Recorder
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly lastSeen: LastSeen
  /** No other controller writes to this store. */
  readonly alone: boolean
  /** The epoch to answer under, by that of the lead, which is read with the rest: agents refuse a lower one than they obeyed. */
  readonly epoch: (ofLead: number | null) => number
  readonly spec: () => Spec
  readonly settings: (wanted: WantedOfHost) => AgentSettings
  /** How long a host keeps builds of images; null: the fleet manages none. */
  readonly retention: () => ImageRetention | null
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
  readonly known: KnownHost
  /** Null: what the agent obeyed last still holds. */
  readonly wanted: WantedOfHost | null
}

/**
 * Answers `sync`: stores what the host saw (durable before the answer), renews its leases, and says what it should look like when that moved, at once or
 * when it moves while the poll is parked.
 */
export function createSyncHandler(options: SyncHandlerOptions): SyncHandler {
  const { recorder, clock, log } = options
  const parking = createParking(options.timers)
  const hosts = createKnownHosts(options)
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
    const { hostId } = caller
    const startedAt = clock.steady()
    // Before anything is stored: a host that speaks is not lost because nobody could write down what it said.
    options.lastSeen.note(hostId, clock.now())
    let ticket = parking.ticket(hostId)
    // With news the host is read where the news is stored; reading it before as well would cost as much as the write.
    let view = bringsNews(request) ? null : await look(hostId, request)
    let acknowledged: SyncResponse['acknowledged'] = { attempts: [], operations: [] }
    if (view === null || !isAsReported(view.known, request)) {
      const stored = await store(caller, request, session)
      keepUnwanted(session, request, stored.unwanted)
      acknowledged = stored.acknowledged
      ticket = parking.ticket(hostId)
      view = await look(hostId, request)
    }
    for (;;) {
      const response = respond(request, view, acknowledged)
      const waitMs = Math.min(request.waitMs, options.spec().limits.syncPoll) - (clock.steady() - startedAt)
      const isNews = view.wanted !== null || hasNews(acknowledged) || asksForFacts(session, response)
      if (isNews || waitMs <= 0 || closed || caller.signal.aborted) return response
      const left = await park(caller, { ms: waitMs, ticket })
      options.lastSeen.note(hostId, clock.now())
      // Nothing of the host changed that anybody told of: what was seen before the wait still holds, and the next poll looks again.
      if (left !== 'called') return respond(request, view, acknowledged)
      ticket = parking.ticket(hostId)
      view = await look(hostId, request)
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

  async function store(caller: SyncCaller, request: SyncRequest, session: Session): Promise<StoredReport> {
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
        builds: request.builds ?? [],
        retryDelayMs: options.spec().limits.retryDelay,
        knownUnwanted: session.unwanted,
      },
    )
    if (stored === null) throw retired()
    return stored
  }

  function isAsReported(known: KnownHost, { bootId }: SyncRequest): boolean {
    return known.isUp && known.bootId === bootId
  }

  /** What the host should look like, when that moved, of one snapshot with the generation that it goes by. */
  function look(hostId: string, { seen }: SyncRequest): Promise<View> {
    const moved = ({ epoch, generation }: KnownHost): boolean => seen.epoch !== epoch || seen.generation < generation
    return hosts.look({ hostId, moved, suspect: keyIsDue }, clock.now())
  }

  function keyIsDue({ keySince }: KnownHost): boolean {
    return clock.now() - keySince >= options.spec().limits.hostKeyMaxAge
  }

  function respond(request: SyncRequest, { known, wanted }: View, acknowledged: SyncResponse['acknowledged']): SyncResponse {
    const { hostId, name, epoch, generation, factsAt, doneAt } = known
    return {
      protocol: Math.min(request.protocol, syncProtocol),
      hostId,
      hostName: name,
      epoch,
      generation,
      controllerTime: clock.now(),
      desired: wanted === null ? null : { ...wanted.rows, settings: options.settings(wanted) },
      acknowledged,
      wantFacts: factsAt <= doneAt || clock.now() - factsAt > factsMaxAge,
      rotateKey: keyIsDue(known),
      checkpoint: options.checkpoint(),
    }
  }

  return {
    handle,
    wakeAll() {
      hosts.forgetAll()
      parking.callAll()
    },
    parkedHosts: () => parking.hosts(),
    close() {
      closed = true
      stopListening()
      hosts.close()
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
  const { attempts, operations, builds = [] } = acknowledged
  return attempts.length > 0 || operations.length > 0 || builds.length > 0
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
