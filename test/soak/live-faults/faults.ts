import { setTimeout as sleep } from 'node:timers/promises'
import type { FleetController } from '../../e2e/fleet-controller.ts'
import { waitFor } from '../../e2e/wait.ts'
import { rolesOf, viewOf } from '../controllers.ts'
import { losePackets, losePacketsNoMore, narrow, plugIn, pullPlug, widen } from './lines.ts'
import type { LiveFleet } from './live-fleet.ts'
import type { LiveHost } from './live-host.ts'

/** What a fault has to go by: the fleet, and chance of its own, so that faults at the same time do not change each other's. */
export interface Chance {
  readonly fleet: LiveFleet
  readonly random: () => number
}

/** Something that goes wrong and is over when its function returns; that answers what was done, for people. Throws when cidery broke a promise. */
export interface HostFault {
  readonly on: 'host'
  strike(host: LiveHost, chance: Chance): Promise<string>
}
export interface FleetFault {
  readonly on: 'fleet'
  strike(chance: Chance): Promise<string>
}

function between(random: () => number, least: number, most: number): number {
  return Math.round(least + random() * (most - least))
}

/** Waits a random number of seconds, and says how many. */
async function pass(random: () => number, [least, most]: readonly [number, number]): Promise<string> {
  const ms = between(random, least * 1000, most * 1000)
  await sleep(ms)
  return `${(ms / 1000).toFixed(1)} s`
}

/** Something on the line of one host, for a while. */
function onLine(begin: (host: LiveHost, random: () => number) => Promise<string>, end: (host: LiveHost) => Promise<void>): HostFault {
  return {
    on: 'host',
    async strike(host, { random }) {
      const what = await begin(host, random)
      const time = await pass(random, [8, 25])
      await end(host)
      return `${what} for ${time}`
    },
  }
}

/** The lease of the lead is 8 s, and the other looks every second. On a machine that carries fifty agents too, the promise of ten may be late. */
const leadLimitMs = 30_000

async function leadMoves(fleet: LiveFleet, to: FleetController): Promise<string> {
  const since = performance.now()
  await waitFor('the other controller to lead', async () => (await viewOf(fleet, to))?.leads, leadLimitMs)
  return `the lead moved in ${((performance.now() - since) / 1000).toFixed(1)} s`
}

async function killController(controller: FleetController, random: () => number): Promise<void> {
  await controller.kill()
  if (random() < 0.5) await sleep(random() * 2000)
  await controller.start()
}

/** Every kind, by the name that a round prints. A new kind is one entry here. */
export const faults = {
  'agent killed': {
    on: 'host',
    async strike(host, { random }) {
      await host.kill()
      const time = await pass(random, [0, 4])
      host.start()
      return `started again after ${time}`
    },
  },
  'agent frozen': {
    on: 'host',
    async strike(host, { random }) {
      host.signal('SIGSTOP')
      const time = await pass(random, [5, 40])
      host.signal('SIGCONT')
      return `for ${time}`
    },
  },
  'guest dies': {
    on: 'host',
    async strike(host, { random }) {
      const running = async (): Promise<readonly number[] | null> => {
        await sleep(200)
        const pids = host.guests()
        return pids.length > 0 ? pids : null
      }
      const guests = await waitFor('a guest', running, 20_000).catch(() => [])
      const pid = guests[between(random, 0, guests.length - 1)]
      if (pid === undefined) return 'none ran'
      process.kill(pid, 'SIGKILL')
      return `one of ${guests.length}`
    },
  },
  'packets lost': onLine(
    async (host, random) => {
      const percent = between(random, 15, 45)
      await losePackets(host.line, percent)
      return `${percent} %`
    },
    ({ line }) => losePacketsNoMore(line),
  ),
  'line slow': onLine(
    async (host, random) => {
      const kilobits = between(random, 48, 256)
      await narrow(host.line, kilobits)
      return `${kilobits} kbit/s`
    },
    ({ line }) => widen(line),
  ),
  'line down': {
    on: 'host',
    async strike(host, { random }) {
      await pullPlug(host.line)
      // At three quarters of a minute the host is lost.
      const time = await pass(random, [5, 60])
      await plugIn(host.line)
      return `for ${time}`
    },
  },
  'disk full': {
    on: 'host',
    async strike(host, { random }) {
      host.fillDisk()
      const time = await pass(random, [5, 20])
      host.emptyDisk()
      return `for ${time}`
    },
  },
  'all lines down': {
    on: 'fleet',
    async strike({ fleet, random }) {
      for (const { line } of fleet.hosts) await pullPlug(line)
      const time = await pass(random, [5, 20])
      for (const { line } of fleet.hosts) await plugIn(line)
      return `for ${time}`
    },
  },
  'late and out of order': {
    on: 'fleet',
    async strike({ fleet, random }) {
      const ms = between(random, 200, 1500)
      for (const path of fleet.slowPaths) path.hold(ms)
      const time = await pass(random, [8, 25])
      for (const path of fleet.slowPaths) path.hold(0)
      return `by up to ${ms} ms for ${time}`
    },
  },
  'leader killed': {
    on: 'fleet',
    async strike({ fleet, random }) {
      const { leader, follower } = await rolesOf(fleet)
      await leader.kill()
      const about = await leadMoves(fleet, follower)
      await sleep(random() * 1500)
      await leader.start()
      return about
    },
  },
  'follower killed': {
    on: 'fleet',
    async strike({ fleet, random }) {
      const { leader, follower, epoch } = await rolesOf(fleet)
      await killController(follower, random)
      const after = await viewOf(fleet, leader)
      if (after?.epoch !== epoch)
        throw new Error(`the lead moved from epoch ${epoch} to ${after?.epoch ?? 'none'} though nobody who led died`)
      return `the lead stays in epoch ${epoch}`
    },
  },
  'leader frozen': {
    on: 'fleet',
    async strike({ fleet, random }) {
      const { leader, follower, epoch } = await rolesOf(fleet)
      leader.running().child.kill('SIGSTOP')
      let about: string
      try {
        about = await leadMoves(fleet, follower)
        about += `; woken ${await pass(random, [1, 6])} later`
      } finally {
        // It wakes up in the belief that it leads.
        leader.running().child.kill('SIGCONT')
      }
      const after = await rolesOf(fleet)
      if (after.epoch <= epoch) throw new Error(`the epoch went from ${epoch} to ${after.epoch}`)
      return about
    },
  },
  'follower frozen': {
    on: 'fleet',
    async strike({ fleet, random }) {
      const { follower } = await rolesOf(fleet)
      follower.running().child.kill('SIGSTOP')
      const time = await pass(random, [8, 20])
      follower.running().child.kill('SIGCONT')
      return `for ${time}`
    },
  },
  'database killed': {
    on: 'fleet',
    async strike({ fleet, random }) {
      await fleet.postgres.kill()
      const time = await pass(random, [0, 4])
      await fleet.postgres.start()
      return `back after ${time}`
    },
  },
} as const satisfies Readonly<Record<string, HostFault | FleetFault>>

export type FaultKind = keyof typeof faults
