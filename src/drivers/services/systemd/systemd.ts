import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ServiceDefinition, ServiceFile, ServiceManager } from '../../../ports/services.ts'
import { must, systemCommand, type SystemCommand } from '../system-command.ts'
import { systemdUnit } from './systemd-unit.ts'

export interface SystemdOptions {
  /** Default `/etc/systemd/system`. */
  readonly folder?: string
  readonly run?: SystemCommand
}

export function systemd(options: SystemdOptions = {}): ServiceManager {
  const { folder = '/etc/systemd/system', run = systemCommand } = options

  function file(service: ServiceDefinition): ServiceFile {
    return { path: join(folder, `${service.name}.service`), content: systemdUnit(service) }
  }

  return {
    kind: 'systemd',
    file,
    async install(service) {
      const transcript: string[] = []
      const { path, content } = file(service)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, content, { mode: 0o644 })
      transcript.push(`wrote ${path}`)
      await must(run, transcript, ['systemctl', 'daemon-reload'])
      await must(run, transcript, ['systemctl', 'enable', `${service.name}.service`])
      // A changed unit is taken up; jobs go on meanwhile.
      await must(run, transcript, ['systemctl', 'restart', `${service.name}.service`])
      return transcript
    },
    async uninstall(service) {
      const transcript: string[] = []
      const stopped = await run(['systemctl', 'disable', '--now', `${service.name}.service`])
      transcript.push(`systemctl disable --now ${service.name}.service: ${stopped.code}`)
      const { path } = file(service)
      await rm(path, { force: true })
      transcript.push(`removed ${path}`)
      await must(run, transcript, ['systemctl', 'daemon-reload'])
      return transcript
    },
    async check({ path }) {
      const { code, output } = await run(['systemd-analyze', 'verify', '--man=no', path])
      return code === 0 && output === '' ? [] : output.split('\n')
    },
    async isRunning(service) {
      return (await run(['systemctl', 'is-active', '--quiet', `${service.name}.service`])).code === 0
    },
  }
}
