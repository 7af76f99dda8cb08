import { command, exitCodes } from '../../declare.ts'
import { UsageError } from '../../usage-error.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'

const pieceBytes = 1024 ** 2

export const logs = command<LocalOptions>({
  name: 'logs',
  summary: 'print the log of a build that this host made',
  examples: [['cidery image logs bld_01k… --local', 'steps, what they said, and why a try failed']],
  arguments: [{ name: '<build>', about: 'its id' }],
  options: localOptions,
  prints: 'text',
  async run(cli, { args: [build = ''], options }) {
    requireLocal(options, 'cidery image logs <build> --local')
    const { localBuildLogs } = await import('../../../main/host-image-build.ts')
    return withHostImages(cli, { state: options.state, exclusive: false }, async (host) => {
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
  },
})
