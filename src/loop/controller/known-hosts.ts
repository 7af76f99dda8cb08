import { CideryError } from '../../model/errors.ts'
import type { Host } from '../../model/host.ts'
import type { HostId } from '../../model/id.ts'
import type { Instant } from '../../model/instant.ts'
import { factsTakenAt } from '../../observe/host-report.ts'
import type { Reader } from '../../ports/store.ts'
import { promotedBuilds } from '../../record/build-list.ts'
import type { Recorder } from '../../record/commit.ts'
import { readDesired, type DesiredRows, type ImageRetention } from '../../record/desired.ts'
import { keySince } from '../../record/host-keys.ts'
import { findPolledHost } from '../../record/host-sync.ts'
import { awaitsProof, liveOperationsOfHosts } from '../../record/operations.ts'
import { hostOf } from '../../record/rows.ts'

/** What an answer to a host goes by, all of one snapshot. Little, since it is kept of each host. */
export interface KnownHost {
  readonly hostId: HostId
  readonly name: string
  readonly isUp: boolean
  readonly bootId: string | null
  readonly generation: number
  readonly epoch: number
  /** When its facts were taken; 0 when it has none. */
  readonly factsAt: Instant
  /** When its key came to be; `-Infinity` when somebody wants another one. */
  readonly keySince: Instant
  /** The latest end of an operation that counts as a success only with facts that are newer; `-Infinity`: none waits. */
  readonly doneAt: Instant
}

/** What a host should look like, and the host that it is for. */
export interface WantedOfHost {
  readonly host: Host
  readonly rows: DesiredRows
  /** Build that jobs get, by image of the fleet. */
  readonly promoted: ReadonlyMap<string, string>
}

export interface HostQuestion {
  readonly hostId: string
  /** Whether the agent has to be told what the host should look like. */
  readonly moved: (known: KnownHost) => boolean
  /** Whether what is remembered will not do. */
  readonly suspect: (known: KnownHost) => boolean
}

export interface KnownHosts {
  /** UNAUTHENTICATED for a host that is not in the fleet. */
  look(question: HostQuestion, now: Instant): Promise<{ readonly known: KnownHost; readonly wanted: WantedOfHost | null }>
  /** Another epoch began: nothing that is remembered holds. */
  forgetAll(): void
  close(): void
}

export interface KnownHostsOptions {
  readonly recorder: Recorder
  /**
   * No other controller writes to this store. Then what was read of a host holds until this process touches it, and a poll that only waits costs no
   * look into the store. Word of other controllers may be late or get lost: beside them each look reads.
   */
  readonly alone: boolean
  /** The epoch to answer under, by that of the lead, which is read with the rest: agents refuse a lower one than they obeyed. */
  readonly epoch: (ofLead: number | null) => number
  /** How long the host keeps builds of images; null: the fleet manages none. */
  readonly retention: () => ImageRetention | null
}

const nothingPromoted: ReadonlyMap<string, string> = new Map()

export function createKnownHosts(options: KnownHostsOptions): KnownHosts {
  const { recorder } = options
  const remembered = new Map<string, KnownHost>()
  /** Goes up with everything that may make a read under way an old one. */
  let touches = 0
  const close = recorder.onTouched(({ rows, everything }) => {
    touches += 1
    for (const id of rows.get('host') ?? []) remembered.delete(id)
    // Which host an operation is of, a notice does not say; there are few of them.
    if (everything || rows.has('operation')) remembered.clear()
  })

  async function read(db: Reader, { hostId, moved }: HostQuestion, now: Instant) {
    const row = await findPolledHost(db, hostId)
    if (row === undefined || row.state === 'retired') throw retired()
    const host = hostOf(row)
    const epoch = options.epoch(row.lead_epoch)
    const operations = row.live_operation === null ? [] : await liveOperationsOfHosts(db, [hostId])
    const doneAt = Math.max(...operations.filter(awaitsProof).map(({ completedAt }) => completedAt ?? 0))
    const { name, state, bootId, desiredGeneration: generation } = host
    const factsAt = factsTakenAt(host)
    const known: KnownHost = {
      hostId: host.id,
      name,
      isUp: state === 'up',
      bootId,
      generation,
      epoch,
      factsAt,
      keySince: keySince(row),
      doneAt,
    }
    return { known, wanted: moved(known) ? await readWanted(db, host, now) : null }
  }

  async function readWanted(db: Reader, host: Host, now: Instant): Promise<WantedOfHost> {
    const retention = options.retention()
    const promoted = retention === null ? nothingPromoted : await promotedBuilds(db)
    return { host, rows: await readDesired(db, host, { now, retention }), promoted }
  }

  return {
    async look(question, now) {
      const { hostId, moved, suspect } = question
      const kept = remembered.get(hostId)
      if (kept !== undefined && !moved(kept) && !suspect(kept)) return { known: kept, wanted: null }
      const before = touches
      const found = await recorder.read((db) => read(db, question, now))
      if (options.alone && touches === before) remembered.set(hostId, found.known)
      return found
    },
    forgetAll() {
      touches += 1
      remembered.clear()
    },
    close,
  }
}

export function retired(): CideryError {
  return new CideryError('UNAUTHENTICATED', 'this host is not in the fleet any more', {
    hint: 'cidery host add, on the controller, gives a new line for it',
  })
}
