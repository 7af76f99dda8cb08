import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import type { HostView } from '../../client/views.ts'
import { command, exitCodes, type CommandDeclaration } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { durationOption } from '../../values.ts'

interface ForceOptions {
  readonly for?: string
  readonly reason?: string
}

const imageAndHost = [
  { name: '<image>', about: 'its name' },
  { name: '<host>', about: 'name or id', completes: 'host' as const },
]

const forceOptions = [
  { flags: '--for <duration>', about: 'until then (default: until somebody clears it)' },
  { flags: '--reason <text>', about: 'why; it stands in the audit' },
]

async function hostId(cli: Cli, host: string): Promise<string> {
  return (await (await openApi(cli)).get<HostView>(`/hosts/${encodeURIComponent(host)}`)).id
}

async function force(
  cli: Cli,
  [image = '', host = '']: readonly string[],
  asked: { readonly ready: boolean; readonly options: ForceOptions },
): Promise<number> {
  const api = await openApi(cli)
  const ttl = durationOption('--for', asked.options.for)
  const body = {
    ready: asked.ready,
    ...(asked.options.reason === undefined ? {} : { reason: asked.options.reason }),
    ...(ttl === undefined ? {} : { ttlS: Math.max(1, Math.round(ttl / 1000)) }),
  }
  await api.call('PUT', `/hosts/${encodeURIComponent(await hostId(cli, host))}/images/${encodeURIComponent(image)}/forced`, { body })
  const what = asked.ready ? 'ready' : 'not ready'
  await printThing(cli, {
    value: { image, host, ...body },
    name: image,
    text: () =>
      `✓ ${image} counts as ${what} on ${host}${ttl === undefined ? ' until it is cleared' : ` for ${asked.options.for ?? ''}`}\n`,
  })
  return exitCodes.ok
}

export const forceReady: CommandDeclaration = command<ForceOptions>({
  name: 'force-ready',
  summary: 'let jobs of an image start on a host whatever was seen there; a missing image stays missing',
  examples: [['cidery image force-ready macos-15 mini-1 --for 2h', 'survives checks until it expires; audited']],
  arguments: imageAndHost,
  options: forceOptions,
  prints: 'view',
  run: (cli, { args, options }) => force(cli, args, { ready: true, options }),
})

export const forceNotReady: CommandDeclaration = command<ForceOptions>({
  name: 'force-not-ready',
  summary: 'let no job of an image start on a host, whatever was seen there',
  examples: [['cidery image force-not-ready macos-15 mini-1 --reason "disk makes noises"', 'until cidery image clear-force']],
  arguments: imageAndHost,
  options: forceOptions,
  prints: 'view',
  run: (cli, { args, options }) => force(cli, args, { ready: false, options }),
})

export const clearForce: CommandDeclaration = command({
  name: 'clear-force',
  summary: 'let what is seen on a host count again',
  examples: [['cidery image clear-force macos-15 mini-1', 'asking again changes nothing']],
  arguments: imageAndHost,
  prints: 'view',
  async run(cli, { args: [image = '', host = ''] }) {
    const api = await openApi(cli)
    await api.call('DELETE', `/hosts/${encodeURIComponent(await hostId(cli, host))}/images/${encodeURIComponent(image)}/forced`)
    await printThing(cli, { value: { image, host }, name: image, text: () => `✓ what is seen of ${image} on ${host} counts again\n` })
    return exitCodes.ok
  },
})
