import { command } from '../../declare.ts'
import { changeHosts } from './change-host.ts'

export const rotateKey = command({
  name: 'rotate-key',
  summary: 'have hosts replace their own keys; jobs do not notice',
  examples: [['cidery host rotate-key mini-1', 'after somebody left who could read its disk']],
  details:
    'The host makes the new key itself and shows it at its next sync; from then on the old one is refused. By itself it does so every 30 days (limits.hostKeyMaxAge). To shut a stolen key out at once: cidery host retire.',
  arguments: [{ name: '<host...>', about: 'names or ids of the hosts', completes: 'host' }],
  prints: 'view',
  run: (cli, { args }) => changeHosts(cli, args, { verb: 'rotate-key' }),
})
