import { CideryError } from '../../../model/errors.ts'
import type { ErrorCode } from '../../../model/errors.ts'
import { openApi } from '../../client/api.ts'
import type { Api } from '../../client/api.ts'
import { whileBusy } from '../../client/busy.ts'
import { followOperation } from '../../client/operation.ts'
import { readSandbox } from '../../client/sandbox.ts'
import type { OperationView, Page, SandboxView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { makeProgress } from '../../render/progress.ts'
import { printSandbox } from './change-sandbox.ts'

export const snapshot = command({
  name: 'snapshot',
  summary: 'keep the disk of a stopped sandbox under a name',
  examples: [['cidery vm snapshot try before-upgrade', 'on engines that can; others say that they cannot']],
  arguments: [
    { name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' },
    { name: '<name>', about: 'what to call the snapshot' },
  ],
  prints: 'view',
  async run(cli, { args: [name = '', label = ''] }) {
    const api = await openApi(cli)
    const before = await readSandbox(api, name)
    const sandbox = await whileBusy(cli, () => api.call<SandboxView>('POST', `/sandboxes/${before.id}/snapshot`, { body: { name: label } }))
    const operation = await operationOf(api, sandbox)
    if (operation !== undefined) {
      const progress = makeProgress(cli)
      const ended = await followOperation(cli, api, { operation, progress, output: async () => undefined })
      await progress.clear()
      if (ended.state !== 'SUCCESS') throw failure(ended, sandbox)
    }
    await printSandbox(cli, sandbox)
    return exitCodes.ok
  },
})

/** The operation behind the snapshot: the newest of its kind on that host. */
async function operationOf(api: Api, sandbox: SandboxView): Promise<OperationView | undefined> {
  const { items } = await api.get<Page<OperationView>>(`/hosts/${sandbox.hostId}/operations`)
  return items
    .filter(({ request }) => request.kind === 'sandboxSnapshot' && request.sandboxId === sandbox.id)
    .toSorted((a, b) => b.requestedAt - a.requestedAt)[0]
}

function failure(operation: OperationView, sandbox: SandboxView): CideryError {
  const said = [operation.reason, operation.outputTail.trim()].filter((text) => text !== '').join('; ')
  const code: ErrorCode = /\b(?:cannot|no snapshots|unsupported)\b/i.test(said) ? 'UNSUPPORTED' : 'ENGINE_FAILED'
  return new CideryError(code, `no snapshot of ${sandbox.name} was made: ${said === '' ? operation.state : said}`, {
    hint: `cidery operation show ${operation.id}`,
  })
}
