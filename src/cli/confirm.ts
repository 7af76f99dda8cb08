import type { Cli } from './cli.ts'
import { exitCodes } from './declare.ts'
import { cleanText } from './render/text.ts'
import { Exit, UsageError } from './usage-error.ts'

/** Whether a person sits there who may be asked. */
export function mayAsk(cli: Cli): boolean {
  return cli.stdin.isTTY && cli.stderr.isTTY && !cli.settings.noInput
}

/** Asks before something that cannot be taken back; without a terminal `--yes` must say it. Ends with 130 on a no. */
export async function confirm(cli: Cli, question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true) return
  if (!mayAsk(cli)) throw new UsageError('this needs a yes, and there is nobody to ask', 'add --yes')
  const answer = await cli.stdin.readLine(`${cleanText(question)} [y/N] `, { echo: true })
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Exit(exitCodes.cancelled)
}
