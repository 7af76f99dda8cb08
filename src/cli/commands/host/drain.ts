import { command } from '../../declare.ts'
import { durationOption } from '../../values.ts'
import { changeHosts } from './change-host.ts'

interface DrainOptions {
  readonly reason?: string
  readonly deadline?: string
}

export const drain = command<DrainOptions>({
  name: 'drain',
  summary: 'let hosts finish what they run and give them nothing new',
  examples: [
    ['cidery host drain mini-1', 'wait for its jobs as long as they take'],
    ['cidery host drain mini-1 --deadline 30m --reason reboot', 'cancel what still runs after 30 minutes'],
  ],
  arguments: [{ name: '<host...>', about: 'names or ids of the hosts', completes: 'host' }],
  options: [
    { flags: '--deadline <duration>', about: 'cancel running jobs after this time (default: never)' },
    { flags: '--reason <text>', about: 'why, for everybody who asks' },
  ],
  prints: 'view',
  run: (cli, { args, options }) =>
    changeHosts(cli, args, {
      verb: 'drain',
      body: { reason: options.reason ?? '', deadlineMs: durationOption('--deadline', options.deadline) ?? null },
    }),
})
