import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import type { Progress } from '../render/progress.ts'
import type { Api } from './api.ts'
import { withSuggestion } from './suggest.ts'
import type { SandboxView } from './views.ts'

/** Finds a sandbox by name or id. */
export function readSandbox(api: Api, name: string): Promise<SandboxView> {
  return withSuggestion(api, { kind: 'sandbox', name }, () => api.get<SandboxView>(`/sandboxes/${encodeURIComponent(name)}`))
}

export interface AwaitOptions {
  readonly sandbox: SandboxView
  readonly until: readonly SandboxView['state'][]
  readonly progress: Progress
  readonly deadlineMs: number
}

/** Waits until a sandbox is in one of the states. Throws CONFLICT when it failed or went away instead, or when time is up. */
export async function awaitSandbox(
  cli: Pick<Cli, 'timers' | 'clock'>,
  api: Api,
  { sandbox, until, progress, deadlineMs }: AwaitOptions,
): Promise<SandboxView> {
  const startedAt = cli.clock.steady()
  let now = sandbox
  while (!until.includes(now.state)) {
    if (now.state === 'failed' || now.state === 'gone')
      throw new CideryError('CONFLICT', `the sandbox ${now.name} is ${now.state}: ${now.reason || 'no reason given'}`, {
        hint: `cidery sandbox logs ${now.name}`,
      })
    if (cli.clock.steady() - startedAt > deadlineMs)
      throw new CideryError('UNAVAILABLE', `the sandbox ${now.name} is still ${now.state} after ${Math.round(deadlineMs / 1000)} s`, {
        hint: `cidery host show ${now.hostName}`,
      })
    await progress.say(`${now.name} is ${now.state}${now.reason === '' ? '' : `: ${now.reason}`}`)
    await cli.timers.sleep(250)
    now = await goneWhenNotFound(api, now)
  }
  return now
}

/** The list drops a sandbox soon after it is gone. */
async function goneWhenNotFound(api: Api, sandbox: SandboxView): Promise<SandboxView> {
  try {
    return await api.get<SandboxView>(`/sandboxes/${sandbox.id}`, { patienceMs: 120_000 })
  } catch (error) {
    if (error instanceof CideryError && error.code === 'NOT_FOUND') return { ...sandbox, state: 'gone' }
    throw error
  }
}
