/** An agent that does nothing but make, boot, use and remove sandboxes, until somebody kills it. Settings come as JSON in its words. */
import { makeUserEngine } from '../../../src/drivers/engines/user/index.ts'
import type { UserEngineSettings } from '../../../src/drivers/engines/user/settings.ts'
import { leaveRunning, requestFor, shellInside } from './engine-under-test.ts'

const engine = makeUserEngine(JSON.parse(process.argv[2] ?? '{}') as UserEngineSettings)

async function oneAfterTheOther(network: 'nat' | 'none'): Promise<never> {
  for (;;) {
    const request = await requestFor(engine, { network })
    await engine.create(request)
    await engine.start(request.id)
    await leaveRunning(engine, request.id, 'setsid sleep 300 & exec sleep 300')
    await shellInside(engine, request.id, 'echo x >file; ipcmk -M 4096 >/dev/null')
    if (network === 'nat') await engine.stop(request.id, 10)
    await engine.destroy(request.id)
  }
}

console.log('busy')
await Promise.all([oneAfterTheOther('nat'), oneAfterTheOther('none')])
