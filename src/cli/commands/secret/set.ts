import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import type { SecretView } from '../../client/views.ts'
import { mayAsk } from '../../confirm.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { UsageError } from '../../usage-error.ts'

interface SetOptions {
  readonly queue?: string
  readonly fromFile?: string
  readonly raw?: boolean
}

const limit = 1_048_576

export const set = command<SetOptions>({
  name: 'set',
  summary: 'set a secret of a queue, from standard input or a file',
  examples: [
    ['printf %s "$TOKEN" | cidery secret set API_TOKEN', 'from standard input'],
    ['cidery secret set SIGNING_KEY --queue ios --from-file key.pem', 'from a file, byte by byte'],
    ['cidery secret set API_TOKEN', 'on a terminal: typed without being shown'],
  ],
  details:
    'The value is never a word of the command line, where every user of the machine could read it. One line break at the end of standard input is left out, unless --raw is given.',
  arguments: [{ name: '<name>', about: 'name of the secret' }],
  options: [
    { flags: '--queue <name>', about: 'queue whose jobs may use it (default: default)', completes: 'queue' },
    { flags: '--from-file <file>', about: 'read the value from a file', completes: 'file' },
    { flags: '--raw', about: 'keep a line break at the end of standard input' },
  ],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    const value = await readValue(cli, options)
    const queue = options.queue ?? 'default'
    const api = await openApi(cli)
    const secret = await api.call<SecretView>('PUT', `/queues/${encodeURIComponent(queue)}/secrets/${encodeURIComponent(name)}`, {
      body: { value },
    })
    await printThing(cli, { value: secret, name: secret.name, text: () => `${secret.name} is set in ${secret.queue}\n` })
    return exitCodes.ok
  },
})

async function readValue(cli: Cli, options: SetOptions): Promise<string> {
  if (options.fromFile !== undefined) return asText(await readSecretFile(resolve(cli.cwd, options.fromFile)))
  if (cli.stdin.isTTY) {
    if (!mayAsk(cli)) throw new UsageError('there is no value', 'give it on standard input, or with --from-file')
    return required(await cli.stdin.readLine('value (not shown): ', { echo: false }))
  }
  const text = asText(await cli.stdin.readAll(limit))
  return required(options.raw === true ? text : text.replace(/\r?\n$/, ''))
}

async function readSecretFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new UsageError(`--from-file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

/** Secrets travel as text; bytes that are none would arrive changed. */
function asText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new UsageError('the value is not UTF-8 text', 'encode it first: base64 FILE | cidery secret set NAME')
  }
}

function required(value: string): string {
  if (value === '') throw new UsageError('the value is empty', 'cidery secret rm removes a secret')
  return value
}
