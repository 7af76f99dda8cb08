import { command } from '../../declare.ts'
import { operateAndReport, operateOptions } from './operate.ts'
import type { OperateOptions } from './operate.ts'

export const clean = command<OperateOptions>({
  name: 'clean',
  summary: 'remove job accounts and temporary data that no running job owns',
  examples: [['cidery host clean mini-1', 'says how many and how many bytes']],
  arguments: [{ name: '<host>', about: 'name or id of the host', completes: 'host' }],
  options: operateOptions,
  prints: 'view',
  run: (cli, { args: [host = ''], options }) => operateAndReport(cli, { host, request: { kind: 'clean' }, options }),
})
