import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import { engineContract, type EngineUnderTest } from '../contract/engine-suite.ts'
import { settingsFor } from './engine-lab.ts'
import { TartLab } from './lab.ts'

/** The engine on a Mac with a Tart of that version. Before 2.30 there is no `exec`, so that the only way in is SSH. */
function withTart(version: Parameters<TartLab['imitate']>[0]): () => Promise<EngineUnderTest> {
  return async () => {
    const lab = new TartLab()
    lab.imitate(version)
    const settings = { ...settingsFor(lab), ...(version === '2.20' ? { ssh: { keyFile: lab.key } } : {}) }
    for (const image of Object.values(settings.images)) await lab.tart(['pull', image])
    mkdirSync(settings.stateDir, { recursive: true })
    return {
      name: 'tart',
      make: () => makeTartEngine(settings),
      // The suite wants three machines at once; of macOS there may be two.
      request: { image: 'debian-12' },
      victim: `${lab.root}/victim`,
      left: () => [
        ...lab.left(),
        ...['vms', 'records'].flatMap((name) =>
          existsSync(`${settings.stateDir}/${name}`) ? readdirSync(`${settings.stateDir}/${name}`) : [],
        ),
        ...readdirSync(`${lab.home}/vms`),
      ],
      remove: () => void lab.remove(),
    }
  }
}

engineContract('tart', withTart('2.35'))
engineContract('tart with Tart 2.30', withTart('2.30'))
engineContract('tart with Tart 2.20, in by SSH', withTart('2.20'))
