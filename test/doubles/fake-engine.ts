import { CideryError } from '../../src/model/errors.ts'
import type { Engine, EngineSandbox, SandboxRequest } from '../../src/ports/engine.ts'
import type { Clock, Timers } from '../../src/ports/time.ts'

/** What a test may make go wrong in the next call of a kind. */
export interface EngineFaults {
  create?: Error
  start?: Error
  stop?: Error
  destroy?: Error
  probe?: string
}

export interface FakeEngine extends Engine {
  readonly sandboxes: ReadonlyMap<
    string,
    { readonly request: SandboxRequest; state: EngineSandbox['state']; readonly files: ReadonlyMap<string, Uint8Array> }
  >
  readonly faults: EngineFaults
  /** Calls in order: `create att_…`. */
  readonly calls: readonly string[]
  /** What `start` takes, ms. */
  bootMs: number
}

/** An engine in memory: sandboxes are entries of a map and outlive the agent. It is strict: what is not there cannot be started or destroyed half. */
export function fakeEngine(time: { readonly clock: Clock; readonly timers: Timers }): FakeEngine {
  const sandboxes = new Map<
    string,
    { request: SandboxRequest; state: EngineSandbox['state']; files: Map<string, Uint8Array>; createdAt: number }
  >()
  const calls: string[] = []
  const faults: EngineFaults = {}

  function view(id: string): EngineSandbox {
    const found = sandboxes.get(id)
    if (found === undefined) throw new CideryError('NOT_FOUND', `the engine has no sandbox ${id}`)
    const home = `/sandboxes/${id}`
    const paths = { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: `${home}/secrets` }
    return {
      id,
      engine: 'user',
      state: found.state,
      isolation: 'account',
      mounted: null,
      paths,
      user: 'bk-test',
      createdAt: found.createdAt,
      notes: [],
    }
  }

  const engine: FakeEngine = {
    name: 'user',
    sandboxes,
    calls,
    faults,
    bootMs: 0,
    probe: () =>
      Promise.resolve({
        name: 'user',
        ok: faults.probe === undefined,
        problems: faults.probe === undefined ? [] : [faults.probe],
        isolation: 'account',
        slots: 4,
        version: '1',
        capabilities: {
          snapshot: false,
          suspend: false,
          nested: false,
          vnc: false,
          networks: ['nat', 'none'],
          limits: ['cpu', 'memory'],
          images: false,
        },
      }),
    check: () => Promise.resolve({ ok: faults.probe === undefined, at: time.clock.now(), reason: faults.probe ?? 'fake' }),
    list: () => Promise.resolve([...sandboxes.keys()].map(view)),
    create(request) {
      calls.push(`create ${request.id}`)
      if (faults.create !== undefined) return Promise.reject(faults.create)
      if (request.mount !== null) return Promise.reject(new CideryError('MOUNT_REFUSED', 'this host lets no job see its directories'))
      if (!sandboxes.has(request.id))
        sandboxes.set(request.id, { request, state: 'stopped', files: new Map(), createdAt: time.clock.now() })
      return Promise.resolve(view(request.id))
    },
    async start(id) {
      calls.push(`start ${id}`)
      if (engine.bootMs > 0) await time.timers.sleep(engine.bootMs)
      if (faults.start !== undefined) throw faults.start
      const found = sandboxes.get(id)
      if (found !== undefined) found.state = 'running'
      return view(id)
    },
    command(id, command) {
      if (view(id).state !== 'running') return Promise.reject(new CideryError('CONFLICT', `the sandbox ${id} does not run`))
      return Promise.resolve({ argv: ['inside', id, ...command.argv], env: command.env, cwd: command.cwd ?? view(id).paths.work })
    },
    async putFile(id, path, content) {
      const pieces: Uint8Array[] = []
      if (content instanceof Uint8Array) pieces.push(content)
      else for await (const piece of content) pieces.push(piece)
      view(id)
      sandboxes.get(id)?.files.set(path, Buffer.concat(pieces))
    },
    stop(id) {
      calls.push(`stop ${id}`)
      if (faults.stop !== undefined) return Promise.reject(faults.stop)
      const found = sandboxes.get(id)
      if (found !== undefined) found.state = 'stopped'
      return Promise.resolve()
    },
    destroy(id) {
      calls.push(`destroy ${id}`)
      if (faults.destroy !== undefined) return Promise.reject(faults.destroy)
      sandboxes.delete(id)
      return Promise.resolve()
    },
    sweep(keep) {
      const gone = [...sandboxes.keys()].filter((id) => !keep.has(id))
      for (const id of gone) sandboxes.delete(id)
      return Promise.resolve({ sandboxes: gone, accounts: [], processes: 0, bytes: 0, failures: [] })
    },
  }
  return engine
}
