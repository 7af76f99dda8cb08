import type { Cli } from '../../cli.ts'
import type { CheckView } from '../../client/views.ts'
import { exitCodes } from '../../declare.ts'
import { renderChecks } from '../../render/checks.ts'
import { printThing } from '../../render/output.ts'

/** Prints checks of this host; 1 when one of them failed. */
export async function printChecks(cli: Cli, checks: readonly CheckView[]): Promise<number> {
  const ok = checks.every((check) => check.state !== 'failed')
  await printThing(cli, { value: { ok, checks }, name: ok ? 'ok' : 'failed', text: () => renderChecks(checks, cli.settings.color) })
  return ok ? exitCodes.ok : exitCodes.failed
}
