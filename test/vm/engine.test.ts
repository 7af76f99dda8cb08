import { engineContract } from '../contract/engine-suite.ts'
import { machines } from './machines.ts'

engineContract('qemu', async () => {
  const own = await machines()
  return {
    name: 'qemu',
    make: own.make,
    request: { image: 'debian' },
    victim: `${own.stateDir}/victim`,
    left: own.left,
    remove: own.remove,
  }
})
