import { command } from '../../declare.ts'
import { operateAndReport, operateOptions } from './operate.ts'
import type { OperateOptions } from './operate.ts'

export const probe = command<OperateOptions>({
  name: 'probe',
  summary: 'prove again now that the host can start jobs',
  examples: [['cidery host probe mini-1', 'after a repair']],
  arguments: [{ name: '<host>', about: 'name or id of the host', completes: 'host' }],
  options: operateOptions,
  prints: 'view',
  run: (cli, { args: [host = ''], options }) => operateAndReport(cli, { host, request: { kind: 'probe' }, options }),
})
