import { describe, expect, it } from 'vitest'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { HostId } from '../../src/model/id.ts'
import { migrate } from '../../src/record/migrate.ts'
import { memoryBlobs } from '../../src/simulate/blobs.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import { sharedStore, type ControllerLife } from '../doubles/shared-store.ts'
import { simulatedAgent, type Script, type SimulatedAgent, type SimulatedAgentOptions } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'
import { virtualTime } from '../doubles/virtual-time.ts'

type Link = SimulatedAgentOptions['link']

interface Controller {
  readonly fleet: Fleet
  readonly life: ControllerLife
}

const kills = 6
const ends = ['killed before', 'killed after', 'frozen'] as const
const leadLimit = 10_000

const script: Script = async ({ reach, write, sleep, desired }) => {
  reach('running')
  const code = desired.job.spec.command?.[1] ?? ''
  for (let line = 0; line < 4; line += 1) {
    await write(`${code} ${line}\n`)
    await sleep(900)
  }
  return { kind: 'exited', code: Number(code) }
}

/** Controllers that come and go on one store, and hosts that ask any of them that lives. */
async function startControllers(seed: number) {
  const random = seededRandom(seed)
  const time = virtualTime({ turns: 3 })
  const clock = { now: () => Math.floor(time.clock.now()), steady: time.clock.steady }
  const base = await createSqliteStore({ path: ':memory:', clock, timers: time.timers })
  await migrate(base, { clock })
  const blobs = memoryBlobs({ now: clock.now })
  const shared = sharedStore(base)
  const all: Controller[] = []
  const agents: SimulatedAgent[] = []

  async function add(): Promise<Controller> {
    const { store, timers, life } = shared.connect(time.timers)
    const own = { ...time, clock, timers }
    const controller = { life, fleet: await startFleet({ store, blobs, time: own, others: true, seed: seed * 1000 + all.length }) }
    all.push(controller)
    return controller
  }

  const living = (): readonly Controller[] => all.filter(({ life }) => life.alive() && !life.frozen())
  const leaders = (): readonly Controller[] => living().filter(({ fleet }) => fleet.core.lead.leads())
  const anyone = (): Controller => the(living()[Math.floor(random.fraction() * living().length)])

  /** What is asked of a controller that dies meanwhile is never answered; one that stands still is given up after a while. */
  async function ask<T>(work: (fleet: Fleet) => Promise<T>): Promise<T> {
    const { fleet, life } = anyone()
    const gone = life.died.then(() => Promise.reject<T>(new CideryError('UNREACHABLE', 'the controller died')))
    const late = time.timers.sleep(40_000).then(() => Promise.reject<T>(new CideryError('UNREACHABLE', 'no answer')))
    return Promise.race([work(fleet), gone, late])
  }

  const linkOf = (hostId: HostId): Link => ({
    sync: (request, signal) => ask((fleet) => fleet.link(hostId).sync(request, signal)),
    appendLog: (id, offset, bytes) => ask((fleet) => fleet.link(hostId).appendLog(id, offset, bytes)),
    finishLog: (id, length) => ask((fleet) => fleet.link(hostId).finishLog(id, length)),
  })

  async function addHost(name: string): Promise<void> {
    const link = linkOf(await anyone().fleet.enrol(name))
    const agent = simulatedAgent({ clock, timers: time.timers, name, link, script, pollMs: 5000 })
    agents.push(agent)
    agent.start()
  }

  const accepted: string[] = []
  let submitted = 0

  /** A second of work in which a job comes in at any controller; what was accepted has been answered. */
  async function pass(): Promise<void> {
    const code = submitted % 7
    submitted += 1
    ask((fleet) => fleet.submit({ command: ['exit', String(code)] })).then(
      ({ id }) => accepted.push(id),
      () => undefined,
    )
    await time.advance(500 + random.fraction() * 1000)
  }

  return { random, time, base, blobs, all, agents, accepted, add, addHost, living, leaders, pass }
}

type Scene = Awaited<ReturnType<typeof startControllers>>

/** Passes until a strike has come; a scene in which none comes says so, where it would go on for ever. */
async function passUntilStruck(at: Scene, life: ControllerLife): Promise<void> {
  for (let passes = 0; life.alive() && !life.frozen(); passes += 1) {
    if (passes > 100) throw new Error('the strike never came')
    await at.pass()
  }
}

/** The leader is killed or stands still at some use of its store; another leads in time, and only one does. */
async function strikeLeader(at: Scene, end: (typeof ends)[number]): Promise<void> {
  const { time } = at
  const { life } = the(at.leaders()[0])
  life.strikeAt(1 + Math.floor(at.random.fraction() * 12), end)
  await passUntilStruck(at, life)
  const struckAt = time.elapsed()
  while (at.leaders().length === 0 && time.elapsed() - struckAt <= leadLimit) await time.advance(100)
  expect(at.leaders()).toHaveLength(1)
  if (!life.frozen()) return
  // It still believes that it leads, and goes on with what it had begun.
  life.thaw()
  for (let work = 0; work < 4; work += 1) await at.pass()
  expect(at.leaders()).toHaveLength(1)
  life.strikeAt(1, 'killed before')
  await passUntilStruck(at, life)
}

async function expectDoneOnce(at: Scene, fleet: Fleet, id: string): Promise<void> {
  const job = await fleet.ended(id, 300_000)
  const code = the(job.resolved.spec.command?.[1])
  expect(job).toMatchObject({ attempts: 1, outcome: { kind: 'exited', code: Number(code) } })
  const attempt = the((await fleet.attempts(id))[0])
  await fleet.until(async () => (await fleet.attempts(id)).every(({ logComplete }) => logComplete), 300_000)
  const parts: Buffer[] = []
  for await (const part of at.blobs.read(`logs/${attempt.id}`, 0) as AsyncIterable<Buffer>) parts.push(part)
  expect(Buffer.concat(parts).toString()).toBe([0, 1, 2, 3].map((line) => `${code} ${line}\n`).join(''))
}

describe('several controllers on one store', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'lose nothing and do nothing twice when the leader is killed or stands still at any moment, and another leads within ten seconds (seed %i) [W-19]',
    async (seed) => {
      const at = await startControllers(seed)
      const { accepted } = at
      await at.add()
      await at.add()
      for (const name of ['mini-1', 'mini-2', 'mini-3']) await at.addHost(name)
      for (let kill = 0; kill < kills; kill += 1) {
        for (let work = 0; work < 4; work += 1) await at.pass()
        await strikeLeader(at, the(ends[kill % ends.length]))
        await at.add()
      }
      // Nothing but a word of the others tells the leader of these.
      const follower = the(at.living().find(({ fleet }) => !fleet.core.lead.leads())).fleet
      for (let code = 0; code < 3; code += 1) accepted.push((await follower.submit({ command: ['exit', String(code)] })).id)

      const last = the(at.leaders()[0]).fleet
      for (const id of accepted) await expectDoneOnce(at, last, id)
      // One whose submitter got no answer may have been accepted too: then it was done as well, and once.
      const rows = await at.base.read((db) => db.selectFrom('jobs').select('id').orderBy('id').execute())
      for (const { id } of rows) await expectDoneOnce(at, last, id)
      const begun = at.agents.flatMap((agent) => agent.begun)
      expect(new Set(begun).size).toBe(begun.length)
      expect(begun).toHaveLength(rows.length)
      expect(accepted.length).toBeGreaterThan(kills * 3)
      const ended = (await last.events()).filter(({ kind }) => kind === 'job.ended').map(({ subject }) => subject)
      expect(ended.toSorted()).toEqual(rows.map(({ id }) => `job/${id}`).toSorted())
      expect(at.all.flatMap(({ fleet }) => fleet.faults)).toEqual([])
      for (const agent of at.agents) agent.kill()
      for (const { life } of at.all) life.strikeAt(1, 'killed before')
      await at.base.close()
    },
  )
})
