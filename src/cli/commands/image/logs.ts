import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { UsageError } from '../../usage-error.ts'
import { localOptions, withHostImages, type LocalOptions } from './local.ts'

const pieceBytes = 1024 ** 2

export const logs = command<LocalOptions>({
  name: 'logs',
  summary: 'print the log of a build',
  examples: [
    ['cidery image logs bld_01k…', 'steps, what they said, and why a try failed'],
    ['cidery image logs bld_01k… --local', 'of a build that this host made'],
  ],
  arguments: [{ name: '<build>', about: 'its id' }],
  options: localOptions,
  prints: 'text',
  run: (cli, { args: [build = ''], options }) => (options.local === true ? printHere(cli, build, options) : printOfFleet(cli, build)),
})

async function printOfFleet(cli: Cli, build: string): Promise<number> {
  const answer = await (await openApi(cli)).open('GET', `/builds/${encodeURIComponent(build)}/log`)
  for await (const bytes of answer.body) await cli.stdout.write(bytes)
  return exitCodes.ok
}

async function printHere(cli: Cli, build: string, options: LocalOptions): Promise<number> {
  const { localBuildLogs } = await import('../../../main/host-image-build.ts')
  return withHostImages(cli, { ...options, exclusive: false }, async (host) => {
    const kept = localBuildLogs(host)
    const length = await kept.length(build)
    if (length === 0) throw new UsageError(`this host has no log of a build ${build}`, 'logs are kept for a week')
    for (let offset = 0; offset < length;) {
      const bytes = await kept.read(build, offset, pieceBytes)
      if (bytes.length === 0) break
      await cli.stdout.write(bytes)
      offset += bytes.length
    }
    return exitCodes.ok
  })
}
