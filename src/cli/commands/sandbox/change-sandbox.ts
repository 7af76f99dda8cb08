import { CideryError } from '../../../model/errors.ts'
import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import type { Api } from '../../client/api.ts'
import { whileBusy } from '../../client/busy.ts'
import { awaitSandbox, readSandbox } from '../../client/sandbox.ts'
import type { SandboxView } from '../../client/views.ts'
import { exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sandboxState } from '../../render/states.ts'
import { relativeTime } from '../../render/time.ts'

/** Starting and stopping ends by the limits of the operation behind it; this is a little above. */
export const changeDeadlineMs = 16 * 60_000

/** Asks for a change and tolerates that it is so already: the same command twice is no error. */
export async function askSandbox(
  cli: Cli,
  { api, sandbox }: { readonly api: Api; readonly sandbox: SandboxView },
  { verb, done }: { readonly verb: 'start' | 'stop'; readonly done: SandboxView['state'] },
): Promise<SandboxView> {
  if (sandbox.state === done) return sandbox
  try {
    return await whileBusy(cli, () => api.call<SandboxView>('POST', `/sandboxes/${sandbox.id}/${verb}`, { body: {} }))
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'CONFLICT') throw error
    const now = await readSandbox(api, sandbox.id)
    if (now.state === done) return now
    throw error
  }
}

/** Starts or stops a sandbox, waits until it is so, and prints it. */
export async function changeSandbox(
  cli: Cli,
  name: string,
  { verb, done }: { readonly verb: 'start' | 'stop'; readonly done: 'running' | 'stopped' },
): Promise<number> {
  const api = await openApi(cli)
  const progress = makeProgress(cli)
  const asked = await askSandbox(cli, { api, sandbox: await readSandbox(api, name) }, { verb, done })
  const sandbox = await awaitSandbox(cli, api, { sandbox: asked, until: [done], progress, deadlineMs: changeDeadlineMs })
  await progress.clear()
  await printSandbox(cli, sandbox)
  return exitCodes.ok
}

/** Prints a sandbox as the person asked for it. */
export async function printSandbox(cli: Cli, sandbox: SandboxView): Promise<void> {
  await printThing(cli, {
    value: sandbox,
    name: sandbox.name,
    text: () => renderSandbox(sandbox, { now: cli.clock.now(), color: cli.settings.color }),
  })
}

function renderSandbox(sandbox: SandboxView, { now, color }: { readonly now: number; readonly color: boolean }): string {
  return renderFields(
    [
      ['sandbox', sandbox.name],
      ['id', sandbox.id],
      ['state', sandboxState(sandbox)],
      ['reason', sandbox.reason],
      ['engine', sandbox.image === null ? sandbox.engine : `${sandbox.engine}, image ${sandbox.image}`],
      ['isolation', sandbox.isolation ?? ''],
      ['host', sandbox.hostName],
      ['created', `${relativeTime(sandbox.createdAt, now)} by ${sandbox.createdBy}`],
      ['removed', relativeTime(sandbox.expiresAt, now)],
      ['job', sandbox.jobId ?? ''],
    ],
    color,
  )
}
