import { command } from '../../declare.ts'
import { changeHosts } from './change-host.ts'

export const uncordon = command({
  name: 'uncordon',
  summary: 'give hosts jobs again, after a cordon, a drain or a quarantine',
  examples: [['cidery host uncordon mini-1', 'open it again']],
  arguments: [{ name: '<host...>', about: 'names or ids of the hosts', completes: 'host' }],
  prints: 'view',
  run: (cli, { args }) => changeHosts(cli, args, { verb: 'uncordon' }),
})
