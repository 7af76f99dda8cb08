import type { RunningController } from '../../main/controller.ts'
import type { Cli } from '../cli.ts'
import { command, exitCodes } from '../declare.ts'
import { renderFields } from '../render/output.ts'
import { controllerOptions, readControllerOptions } from './controller-options.ts'
import type { ControllerOptions } from './controller-options.ts'

interface UpOptions extends ControllerOptions {
  readonly agent: boolean
}

export const up = command<UpOptions>({
  name: 'up',
  summary: 'start a controller, a dashboard and an agent for this machine',
  examples: [
    ['cidery up', 'everything on this machine, until Ctrl-C'],
    ['cidery up --state ./state --listen 127.0.0.1:7700', 'with state and address of your choice'],
    ['cidery up --listen 0.0.0.0:8443', 'for other hosts as well, over TLS; cidery host add brings them in'],
  ],
  options: [...controllerOptions, { flags: '--no-agent', about: 'no jobs on this machine' }],
  prints: 'text',
  async run(cli, { options }) {
    const asked = readControllerOptions(cli, options)
    const { controllerCommand, upCommand } = await import('../../main/cli-processes.ts')
    const ready = (running: RunningController & { readonly hostName?: string }) => announce(cli, asked.stateDir, running)
    await (options.agent ? upCommand(asked, ready) : controllerCommand(asked, ready))
    return exitCodes.ok
  },
})

/** Says where to go. The link that signs in is shown to people only: a log would keep it. */
export async function announce(cli: Cli, stateDir: string, running: RunningController & { readonly hostName?: string }): Promise<void> {
  const fields = renderFields(
    [
      ['controller', running.url],
      ['dashboard', cli.stdout.isTTY ? `${await running.loginUrl()} (signs you in, once)` : `${running.url}/`],
      ['host', running.hostName ?? ''],
      ['CA SHA-256', running.caFingerprint ?? ''],
      ['state', stateDir],
      ['try', `CIDERY_STATE=${stateDir} cidery run -- uname -a`],
    ],
    cli.settings.color,
  )
  await cli.stdout.write(fields)
}
