import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import { engineContract } from '../contract/engine-suite.ts'
import { settingsFor } from './engine-lab.ts'
import { TartLab } from './lab.ts'

engineContract('tart', async () => {
  const lab = new TartLab()
  const settings = settingsFor(lab)
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
})
