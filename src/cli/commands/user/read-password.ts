import type { Cli } from '../../cli.ts'
import { mayAsk } from '../../confirm.ts'
import { UsageError } from '../../usage-error.ts'

/** A new password: typed twice without being shown, or the first line of standard input. */
export async function readPassword(cli: Cli): Promise<string> {
  if (!cli.stdin.isTTY) {
    const [line = ''] = Buffer.from(await cli.stdin.readAll(4096))
      .toString('utf8')
      .split(/\r?\n/)
    if (line === '') throw new UsageError('there is no password on standard input', 'printf %s "$PASSWORD" | cidery user …')
    return line
  }
  if (!mayAsk(cli)) throw new UsageError('there is no password, and nobody to ask', 'give it on standard input')
  const password = await cli.stdin.readLine('new password (not shown): ', { echo: false })
  const again = await cli.stdin.readLine('once more: ', { echo: false })
  if (password !== again) throw new UsageError('the two are not the same')
  return password
}
