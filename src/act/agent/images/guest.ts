import { CideryError } from '../../../model/errors.ts'
import type { Milliseconds } from '../../../model/instant.ts'
import type { SandboxRequest } from '../../../ports/engine.ts'
import { withDeadline } from '../deadline.ts'
import { messageOf } from '../outcome.ts'
import type { Build } from './build-request.ts'
import { mustRun, type Guest } from './command.ts'

/** A guest that is still being written to, or stopped, is given so long before it is taken away all the same. */
const stopGrace: Milliseconds = 1000

/** A machine of a build, as it is asked for. */
export interface GuestWanted {
  /** What it starts from: a builder, or a sandbox of an image as jobs get it. */
  readonly from: Pick<SandboxRequest, 'image'> & Partial<Pick<SandboxRequest, 'builder'>>
  readonly network: SandboxRequest['network']
}

/** Makes and boots a machine for `work`, and takes it away whatever happens. What is left of it is told and does not hide an error of the work. */
export async function withGuest<T>(build: Build, wanted: GuestWanted, work: (guest: Guest) => Promise<T>): Promise<T> {
  const { ports, engine, request } = build
  const { machine } = request.recipe
  const id = ports.ids.next('sbx')
  build.owned(id, true)
  const worked = await settled(async () => {
    build.signal.throwIfAborted()
    await engine.create({
      id,
      jobId: request.id,
      shape: { cpu: machine.cpu, memoryMiB: Math.round(machine.memory / 1024 ** 2), diskMiB: Math.round(machine.disk / 1024 ** 2) },
      limits: 'advisory',
      network: await networkFor(build, wanted.network),
      blockedAddresses: request.blockedAddresses,
      mount: null,
      ...wanted.from,
    })
    return work(await bootGuest(build, id))
  })
  const removed = await settled(() => removeGuest(build, id))
  if (worked.status === 'rejected') throw worked.reason
  if (removed.status === 'rejected') throw removed.reason
  return worked.value
}

async function settled<T>(work: () => Promise<T>): Promise<PromiseSettledResult<T>> {
  const [result] = await Promise.allSettled([work()])
  return result
}

/** A machine that cannot be removed stays owned, so that whoever sweeps knows of it, and is swept with the next start. */
async function removeGuest({ engine, log, owned }: Build, id: string): Promise<void> {
  try {
    await engine.stop(id, stopGrace)
    await engine.destroy(id)
  } catch (error) {
    log.line(`the machine ${id} could not be removed: ${messageOf(error)}`)
    throw error
  }
  owned(id, false)
}

const narrowestFirst = ['none', 'nat', 'host'] as const

/** The narrowest network of the engine that reaches what a guest has to reach; told where it reaches more, as on Tart, which has one network for all. */
async function networkFor({ engine, log }: Build, wanted: SandboxRequest['network']): Promise<SandboxRequest['network']> {
  const { capabilities } = await engine.probe()
  const enough = narrowestFirst.slice(narrowestFirst.indexOf(wanted))
  const found = enough.find((network) => capabilities.networks.includes(network)) ?? wanted
  if (found !== wanted) log.line(`the engine ${engine.name} has no network ${wanted} here: the guest gets ${found}`)
  return found
}

/** Boots a machine; each of the two limits names what it is for. */
export async function bootGuest(build: Build, id: string): Promise<Guest> {
  const { ports, engine, request, log, signal } = build
  const { boot, connect } = request.recipe.timeouts
  const sandbox = await withDeadline(ports.timers, engine.start(id), { ms: boot, what: 'the boot', signal })
  const guest = { build: { ports, engine, log, signal }, id, home: sandbox.paths.home }
  await mustRun(guest, { script: 'exit 0', asRoot: false, limitMs: connect, what: 'the first command in the guest' })
  return guest
}

/** Shuts a builder down within its time; ENGINE_FAILED when its disk proves nothing. */
export async function shutGuestDown({ ports, engine, request, signal }: Build, id: string): Promise<void> {
  const limit = request.recipe.timeouts.shutdown
  const down = engine.builder.shutDown(id, limit)
  try {
    await withDeadline(ports.timers, down, { ms: limit + 30_000, what: 'the shutdown', signal })
  } catch (error) {
    throw new CideryError('ENGINE_FAILED', `the machine of the build did not shut down: ${messageOf(error)}`, { cause: error })
  }
}
