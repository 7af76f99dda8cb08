import { confirm } from '../../confirm.ts'
import { command } from '../../declare.ts'
import { operateAndReport, operateOptions } from './operate.ts'
import type { OperateOptions } from './operate.ts'

interface RebootOptions extends OperateOptions {
  readonly yes?: boolean
}

export const reboot = command<RebootOptions>({
  name: 'reboot',
  summary: 'restart a host, and wait until it reports again',
  examples: [['cidery host drain mini-1 && cidery host reboot mini-1 --yes', 'let its jobs end first']],
  arguments: [{ name: '<host>', about: 'name or id of the host', completes: 'host' }],
  options: [{ flags: '-y, --yes', about: 'do not ask' }, ...operateOptions],
  prints: 'view',
  async run(cli, { args: [host = ''], options }) {
    await confirm(cli, `Restart ${host}?`, options.yes)
    return operateAndReport(cli, { host, request: { kind: 'reboot' }, options })
  },
})
