import { confirm } from '../../confirm.ts'
import { command } from '../../declare.ts'
import { changeHosts } from './change-host.ts'

interface RetireOptions {
  readonly yes?: boolean
}

export const retire = command<RetireOptions>({
  name: 'retire',
  summary: 'take hosts out of the fleet for good; their keys are revoked',
  examples: [['cidery host retire mini-1 --yes', 'it can only come back by enrolling anew']],
  arguments: [{ name: '<host...>', about: 'names or ids of the hosts', completes: 'host' }],
  options: [{ flags: '-y, --yes', about: 'do not ask' }],
  prints: 'view',
  async run(cli, { args, options }) {
    await confirm(cli, `Retire ${args.join(', ')}? Running jobs there are given up.`, options.yes)
    return changeHosts(cli, args, { verb: 'retire' })
  },
})
