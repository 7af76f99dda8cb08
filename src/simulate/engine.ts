import { CideryError } from '../model/errors.ts'
import type { EngineFacts } from '../model/host.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { EngineSandbox, RebootableEngine, SandboxRequest, WarmingEngine } from '../ports/engine.ts'
import type { Random } from '../ports/random.ts'
import type { Clock, Timers } from '../ports/time.ts'
import { slowBootFactor, unreachableAfter, type MachineFaults } from './faults-of-machine.ts'
import type { Tell } from './happening.ts'
import { never } from './life.ts'
import { between } from './random.ts'
import { warmSandboxes } from './warm.ts'

export interface EngineShape {
  readonly name: EngineName
  readonly slots: number
  /** Images that lie on the host; empty for an engine without images. */
  readonly images: readonly string[]
  /** Shortest and longest boot. */
  readonly bootMs: readonly [Milliseconds, Milliseconds]
  /** Shortest and longest time that a clone, its end, or a short command inside takes; default: some tenths of a second. */
  readonly workMs?: readonly [Milliseconds, Milliseconds] | undefined
  /** What it can give a job; default: `nat` and `none`. */
  readonly networks?: readonly ('nat' | 'host' | 'none')[] | undefined
  /** Whether it can keep sandboxes started before their jobs are there. */
  readonly warms?: boolean | undefined
}

export interface SimulatedEngine extends RebootableEngine {
  /** The machine stopped: machines in it are off, accounts stay as they are. */
  machineDown(): void
  /** A sandbox dies by itself; false when none runs. */
  killSandbox(id: string): boolean
  /** Whether a command would run inside now. */
  answers(id: string): boolean
  readonly ids: () => readonly string[]
  /** Sandboxes that could run at once now. */
  readonly slots: () => number
  /** Sandboxes that take a slot, ghosts included. */
  readonly taken: () => number
}

interface Guest {
  readonly request: SandboxRequest
  readonly createdAt: number
  state: EngineSandbox['state']
  reachable: boolean
  /** The boot that is under way; whoever starts it meanwhile waits for the same. */
  booting: Promise<void> | null
  /** How often it was turned on: a boot that was cut short must not make a later one ready. */
  starts: number
}

export interface EngineSurroundings {
  readonly host: string
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly faults: MachineFaults
  readonly tell: Tell
  /** A sandbox stopped: what runs inside is cut off. */
  readonly cutOff: (id: string) => void
}

const usualNetworks = ['nat', 'none'] as const
/** A machine holds still while it makes a clone or throws one away. */
const diskWork: readonly [Milliseconds, Milliseconds] = [50, 400]

/** An engine of one machine, kept in memory. It is strict: what is not there cannot be started, and a slot is a slot. */
export function simulatedEngine(shape: EngineShape, around: EngineSurroundings): SimulatedEngine {
  const { host, clock, timers, random, faults, tell } = around
  const guests = new Map<string, Guest>()
  const isMachine = shape.name !== 'user'
  const workMs = shape.workMs ?? diskWork
  const offered = shape.networks ?? usualNetworks
  /** Sandboxes whose disk is being made. */
  let making = 0
  const running = (): number => [...guests.values()].filter(({ state }) => state === 'running').length
  const jobsBeside = (own: string): number =>
    [...guests].filter(([id, { state }]) => id !== own && state === 'running' && id.startsWith('att_')).length
  const ghosts = (): number => (shape.name === 'tart' ? faults.ghostSlots : 0)

  function view(id: string, guest: Guest): EngineSandbox {
    const home = `/sandboxes/${id}`
    return {
      id,
      engine: shape.name,
      state: guest.state,
      isolation: isMachine ? 'vm' : 'account',
      mounted: null,
      paths: { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: `${home}/secrets` },
      user: 'job',
      createdAt: guest.createdAt,
      notes: [],
    }
  }

  function there(id: string): Guest {
    const guest = guests.get(id)
    if (guest === undefined) throw new CideryError('NOT_FOUND', `the engine has no sandbox ${id}`)
    return guest
  }

  function imageProblem(image: string | null): string | null {
    if (shape.images.length === 0) return image === null ? null : `the engine ${shape.name} has no images`
    if (image === null) return 'an image is needed'
    return shape.images.includes(image) && !faults.imagesGone ? null : `the image ${image} is not on this host`
  }

  function refusal({ network }: SandboxRequest): string | null {
    return offered.some((name) => name === network) ? null : `a sandbox cannot have the network ${network} here`
  }

  async function diskTime(): Promise<void> {
    await timers.sleep(between(random, ...workMs))
    if (faults.diskFull) throw new CideryError('STORAGE_FULL', 'the disk of the host is full')
  }

  function off(id: string, guest: Guest, state: EngineSandbox['state']): void {
    guest.state = state
    guest.reachable = false
    guest.booting = null
    around.cutOff(id)
  }

  function failed(id: string, why: string): CideryError {
    tell({ kind: 'bootFailed', host, sandbox: id, why })
    return new CideryError('ENGINE_FAILED', why)
  }

  function stop(id: string, guest: Guest): void {
    if (guest.state !== 'running') return
    tell({ kind: 'sandboxStopped', host, sandbox: id })
    off(id, guest, 'stopped')
  }

  /** Waits until something answers inside, and turns the sandbox on first when it is off. One that comes up already is waited for. */
  async function boot(id: string, guest: Guest): Promise<void> {
    if (guest.booting === null) {
      if (guest.state !== 'running') turnOn(id, guest)
      const booting: Promise<void> = comeUp(id, guest).finally(() => {
        if (guest.booting === booting) guest.booting = null
      })
      guest.booting = booting
    }
    await guest.booting
  }

  function turnOn(id: string, guest: Guest): void {
    if (faults.boot === 'fails') throw failed(id, 'the sandbox did not start')
    if (running() + ghosts() >= shape.slots) {
      tell({ kind: 'sandboxRefused', host, sandbox: id, engine: shape.name, jobs: jobsBeside(id) })
      throw failed(id, 'the number of machines exceeds the limit of the system')
    }
    guest.state = 'running'
    guest.starts += 1
    tell({ kind: 'sandboxStarted', host, sandbox: id, engine: shape.name, running: running() })
  }

  async function comeUp(id: string, guest: Guest): Promise<void> {
    const fault = faults.boot
    const start = guest.starts
    if (fault === 'hangs') return never()
    await timers.sleep(between(random, ...shape.bootMs) * (fault === 'slow' ? slowBootFactor : 1))
    if (fault === 'unreachable') {
      await timers.sleep(unreachableAfter)
      throw failed(id, 'the sandbox runs, but nothing answers inside')
    }
    if (guest.state !== 'running' || guest.starts !== start) throw failed(id, 'the sandbox stopped while it booted')
    guest.reachable = true
  }

  async function make(request: SandboxRequest): Promise<EngineSandbox> {
    making += 1
    await diskTime().finally(() => (making -= 1))
    const problem = imageProblem(request.image)
    if (problem !== null) throw new CideryError('UNSUPPORTED', problem)
    const guest: Guest = guests.get(request.id) ?? {
      request,
      state: 'stopped',
      reachable: false,
      booting: null,
      starts: 0,
      createdAt: clock.now(),
    }
    if (!guests.has(request.id)) tell({ kind: 'sandboxMade', host, sandbox: request.id, engine: shape.name, image: request.image })
    guests.set(request.id, guest)
    return view(request.id, guest)
  }

  async function start(id: string): Promise<EngineSandbox> {
    const guest = there(id)
    if (guest.state === 'broken') throw new CideryError('ENGINE_FAILED', `the sandbox ${id} is broken`)
    if (!guest.reachable) await boot(id, guest)
    tell({ kind: 'proved', host, sandbox: id, engine: shape.name, image: guest.request.image })
    return view(id, guest)
  }

  function removeNow(id: string): void {
    const guest = guests.get(id)
    if (guest !== undefined) stop(id, guest)
    if (guests.delete(id)) tell({ kind: 'sandboxGone', host, sandbox: id })
  }

  const warm = warmSandboxes({
    boot: async (request) => {
      await make(request)
      await start(request.id)
    },
    remove: removeNow,
    hasRoom: () => guests.size + making + ghosts() < shape.slots,
  })

  /** A warm one that is alike takes the name of the sandbox that is asked for; otherwise warm ones make room. */
  async function warmFor(request: SandboxRequest): Promise<EngineSandbox | null> {
    const id = await warm.take(request)
    const guest = id === null ? undefined : guests.get(id)
    if (id === null || guest === undefined) {
      warm.makeRoom()
      return null
    }
    const given: Guest = { ...guest, request, createdAt: clock.now() }
    guests.delete(id)
    guests.set(request.id, given)
    tell({ kind: 'sandboxMade', host, sandbox: request.id, engine: shape.name, image: request.image })
    return view(request.id, given)
  }

  const engine: SimulatedEngine = {
    name: shape.name,
    ids: () => [...guests.keys()],
    slots: () => Math.max(0, shape.slots - ghosts()),
    taken: () => running() + ghosts(),
    answers: (id) => guests.get(id)?.reachable === true,
    machineDown() {
      for (const [id, guest] of guests) if (guest.state === 'running') off(id, guest, 'stopped')
    },
    killSandbox(id) {
      const guest = guests.get(id)
      if (guest?.state !== 'running') return false
      off(id, guest, 'broken')
      return true
    },
    async probe(): Promise<EngineFacts> {
      return {
        name: shape.name,
        ok: true,
        problems: [],
        isolation: isMachine ? 'vm' : 'account',
        slots: Math.max(0, shape.slots - ghosts()),
        version: 'simulated',
        capabilities: {
          snapshot: false,
          suspend: false,
          nested: false,
          vnc: false,
          networks: [...offered],
          limits: ['cpu', 'memory', 'disk', 'processes'],
          images: shape.images.length > 0,
        },
      }
    },
    needsReboot: async () => (ghosts() > 0 ? 'a slot is held by a machine that is not there' : null),
    async check(image) {
      const problem = faults.diskFull ? 'the disk of the host is full' : imageProblem(image)
      tell({ kind: 'checked', host, engine: shape.name, image, ok: problem === null, reason: problem ?? '' })
      return { ok: problem === null, at: clock.now(), reason: problem ?? '' }
    },
    list: async () => [...guests].filter(([id]) => !warm.isWarm(id)).map(([id, guest]) => view(id, guest)),
    async create(request) {
      const known = guests.get(request.id)
      if (known !== undefined) return view(request.id, known)
      const refused = refusal(request)
      if (refused !== null) throw new CideryError('UNSUPPORTED', refused)
      if (request.mount !== null) throw new CideryError('MOUNT_REFUSED', 'this host lets no job see its directories')
      return (await warmFor(request)) ?? make(request)
    },
    start,
    async command(id, command) {
      if (there(id).state !== 'running') throw new CideryError('CONFLICT', `the sandbox ${id} does not run`)
      return { argv: ['inside', id, ...command.argv], env: command.env, cwd: command.cwd ?? '/' }
    },
    async putFile(id, _path, content) {
      if (there(id).state !== 'running') throw new CideryError('CONFLICT', `the sandbox ${id} does not run`)
      if (content instanceof Uint8Array) return
      for await (const piece of content) void piece
    },
    async stop(id) {
      const guest = guests.get(id)
      if (guest === undefined) return
      await timers.sleep(between(random, ...workMs))
      if (faults.stopFails) throw new CideryError('ENGINE_FAILED', `the sandbox ${id} does not stop`)
      stop(id, guest)
    },
    async destroy(id) {
      const guest = guests.get(id)
      if (guest === undefined) return
      await timers.sleep(between(random, ...workMs))
      if (faults.destroyLeaves) throw new CideryError('SANDBOX_RESIDUE', `the sandbox ${id} is still there after it was removed`)
      removeNow(id)
    },
    async sweep(keep) {
      const gone: string[] = []
      const failures: string[] = []
      for (const [id, guest] of guests) {
        if (keep.has(id) || warm.isWarm(id)) continue
        if (faults.destroyLeaves || faults.stopFails) {
          failures.push(`${id} is still there`)
          continue
        }
        stop(id, guest)
        guests.delete(id)
        gone.push(id)
        tell({ kind: 'sandboxGone', host, sandbox: id })
      }
      return { sandboxes: gone, accounts: [], processes: 0, bytes: 0, failures }
    },
  }
  const warming: Pick<WarmingEngine, 'keepWarm'> = { keepWarm: warm.keep }
  return shape.warms === true ? Object.assign(engine, warming) : engine
}
