import { command } from '../../declare.ts'
import { changeHosts } from './change-host.ts'

interface CordonOptions {
  readonly reason?: string
}

export const cordon = command<CordonOptions>({
  name: 'cordon',
  summary: 'give hosts no new jobs; running ones go on',
  examples: [['cidery host cordon mini-1 --reason "new disk"', 'keep new jobs away']],
  arguments: [{ name: '<host...>', about: 'names or ids of the hosts', completes: 'host' }],
  options: [{ flags: '--reason <text>', about: 'why, for everybody who asks' }],
  prints: 'view',
  run: (cli, { args, options }) => changeHosts(cli, args, { verb: 'cordon', body: { reason: options.reason ?? '' } }),
})
