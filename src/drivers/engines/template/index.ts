import { CideryError } from '../../../model/errors.ts'
import type { Engine } from '../../../ports/engine.ts'
import type { EngineSettings } from '../make-engine.ts'

function notMade(what: string): Promise<never> {
  return Promise.reject(
    new CideryError('UNSUPPORTED', `the template engine cannot ${what}`, { hint: 'copy this folder, then add a line to registry.ts' }),
  )
}

/** Where a new engine starts: compiles, does nothing, is not in the registry. */
export function makeTemplateEngine(settings: EngineSettings): Engine {
  return {
    name: 'user',
    probe: () =>
      Promise.resolve({
        name: 'user',
        ok: false,
        problems: ['this engine is a template'],
        isolation: 'directory',
        slots: settings.slots ?? 0,
        version: '0',
        capabilities: { snapshot: false, suspend: false, nested: false, vnc: false, networks: [], limits: [], images: false },
      }),
    check: () => Promise.resolve({ ok: false, at: Date.now(), reason: 'this engine is a template' }),
    list: () => Promise.resolve([]),
    create: () => notMade('create a sandbox'),
    start: () => notMade('boot a sandbox'),
    command: () => notMade('run a command'),
    putFile: () => notMade('write a file'),
    stop: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
    sweep: () => Promise.resolve({ sandboxes: [], accounts: [], processes: 0, bytes: 0, failures: [] }),
  }
}
