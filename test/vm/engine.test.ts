import { engineContract } from '../contract/engine-suite.ts'
import { machines } from './machines.ts'

/** So deep that the kernel takes no path of a socket in it, as a workspace of a CI system may be. */
const deep = 'a-workspace-with-a-long-name/'.repeat(4) + 'state'

engineContract('qemu', async () => {
  const own = await machines({}, deep)
  return {
    name: 'qemu',
    make: own.make,
    request: { image: 'debian' },
    victim: `${own.stateDir}/victim`,
    left: own.left,
    remove: own.remove,
  }
})
