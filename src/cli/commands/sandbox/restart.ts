import { openApi } from '../../client/api.ts'
import { awaitSandbox, readSandbox } from '../../client/sandbox.ts'
import { command, exitCodes } from '../../declare.ts'
import { makeProgress } from '../../render/progress.ts'
import { askSandbox, changeDeadlineMs, printSandbox } from './change-sandbox.ts'

export const restart = command({
  name: 'restart',
  summary: 'stop a sandbox and start it again',
  examples: [['cidery sandbox restart try', 'and wait until it runs']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    const api = await openApi(cli)
    const progress = makeProgress(cli)
    const waits = { progress, deadlineMs: changeDeadlineMs }
    const stopping = await askSandbox(cli, { api, sandbox: await readSandbox(api, name) }, { verb: 'stop', done: 'stopped' })
    const stopped = await awaitSandbox(cli, api, { sandbox: stopping, until: ['stopped'], ...waits })
    const starting = await askSandbox(cli, { api, sandbox: stopped }, { verb: 'start', done: 'running' })
    const running = await awaitSandbox(cli, api, { sandbox: starting, until: ['running'], ...waits })
    await progress.clear()
    await printSandbox(cli, running)
    return exitCodes.ok
  },
})
