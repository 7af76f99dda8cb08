import { openApi } from '../../client/api.ts'
import { awaitSandbox } from '../../client/sandbox.ts'
import type { SandboxView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { makeProgress } from '../../render/progress.ts'
import { durationOption } from '../../values.ts'
import { changeDeadlineMs, printSandbox } from './change-sandbox.ts'

interface CreateOptions {
  readonly host?: string
  readonly engine?: string
  readonly image?: string
  readonly ttl?: string
  readonly idle?: string
  readonly detach?: boolean
}

export const create = command<CreateOptions>({
  name: 'create',
  summary: 'make a sandbox to look around in; it is removed when its time is over',
  examples: [
    ['cidery sandbox create try', 'an account of its own on some host, for an hour'],
    ['cidery vm create try --engine tart --image macos-15 --ttl 4h', 'a macOS VM for four hours'],
    ['cidery sandbox create && cidery sandbox ls', 'with a name that cidery chooses'],
  ],
  arguments: [{ name: '[name]', about: 'what to call it' }],
  options: [
    { flags: '--host <host>', about: 'where (default: wherever there is room)', completes: 'host' },
    { flags: '--engine <engine>', about: 'user, qemu or tart (default: user)', completes: ['user', 'qemu', 'tart'] },
    { flags: '--image <image>', about: 'golden image to start from' },
    { flags: '--ttl <duration>', about: 'removed after this time (default: 1h)' },
    { flags: '--idle <duration>', about: 'removed after this time without use' },
    { flags: '-d, --detach', about: 'do not wait until it is there' },
  ],
  prints: 'view',
  async run(cli, { args: [name], options }) {
    const api = await openApi(cli)
    const seconds = (flag: string, text: string | undefined) => {
      const ms = durationOption(flag, text)
      return ms === undefined ? undefined : Math.ceil(ms / 1000)
    }
    const body = {
      name,
      host: options.host,
      engine: options.engine,
      image: options.image,
      ttlS: seconds('--ttl', options.ttl),
      idleS: seconds('--idle', options.idle),
    }
    const created = await api.call<SandboxView>('POST', '/sandboxes', { body, idempotencyKey: api.newKey() })
    if (options.detach === true) {
      await printSandbox(cli, created)
      return exitCodes.ok
    }
    const progress = makeProgress(cli)
    const sandbox = await awaitSandbox(cli, api, {
      sandbox: created,
      until: ['stopped', 'running'],
      progress,
      deadlineMs: changeDeadlineMs,
    })
    await progress.clear()
    await printSandbox(cli, sandbox)
    return exitCodes.ok
  },
})
