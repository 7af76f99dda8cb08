import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import type { ServiceDefinition, ServiceFile, ServiceManager } from '../../../ports/services.ts'
import { must, systemCommand, type SystemCommand } from '../system-command.ts'
import { launchdLabel, launchdPlist } from './launchd-plist.ts'

export interface LaunchdOptions {
  /** Default `/Library/LaunchDaemons`. */
  readonly daemonFolder?: string
  /** Default `~/Library/LaunchAgents` of the user who installs. */
  readonly agentFolder: string
  /** Who installs: services of a desktop session belong to this account. */
  readonly uid: number
  readonly run?: SystemCommand
  readonly pollMs?: number
}

const goneLimitMs = 60_000

/** A LaunchDaemon, or a LaunchAgent for what needs a desktop session. */
export function launchd(options: LaunchdOptions): ServiceManager {
  const { daemonFolder = '/Library/LaunchDaemons', agentFolder, uid, run = systemCommand, pollMs = 250 } = options

  function file(service: ServiceDefinition): ServiceFile {
    const folder = service.desktopSession ? agentFolder : daemonFolder
    return { path: join(folder, `${launchdLabel(service)}.plist`), content: launchdPlist(service) }
  }

  function domain(service: ServiceDefinition): string {
    return service.desktopSession ? `gui/${uid}` : 'system'
  }

  function target(service: ServiceDefinition): string {
    return `${domain(service)}/${launchdLabel(service)}`
  }

  async function isLoaded(service: ServiceDefinition): Promise<boolean> {
    return (await run(['launchctl', 'print', target(service)])).code === 0
  }

  /** `bootout` comes back before a busy service is gone; loading it again before that fails. */
  async function unload(service: ServiceDefinition, transcript: string[]): Promise<void> {
    if (!(await isLoaded(service))) return
    const { code } = await run(['launchctl', 'bootout', target(service)])
    transcript.push(`launchctl bootout ${target(service)}: ${code}`)
    for (let waited = 0; await isLoaded(service); waited += pollMs) {
      if (waited >= goneLimitMs)
        throw new CideryError('ENGINE_FAILED', `${target(service)} is still loaded ${goneLimitMs / 1000} s after bootout`)
      await pause(pollMs)
    }
  }

  return {
    kind: 'launchd',
    file,
    async install(service) {
      const transcript: string[] = []
      const { path, content } = file(service)
      await mkdir(dirname(path), { recursive: true })
      await mkdir(dirname(service.logFile), { recursive: true })
      await unload(service, transcript)
      await writeFile(path, content, { mode: 0o644 })
      transcript.push(`wrote ${path}`)
      await must(run, transcript, ['launchctl', 'enable', target(service)])
      await must(run, transcript, ['launchctl', 'bootstrap', domain(service), path])
      return transcript
    },
    async uninstall(service) {
      const transcript: string[] = []
      await unload(service, transcript)
      const { path } = file(service)
      await rm(path, { force: true })
      transcript.push(`removed ${path}`)
      return transcript
    },
    async check({ path }) {
      const { code, output } = await run(['plutil', '-lint', path])
      return code === 0 ? [] : output.split('\n')
    },
    async isRunning(service) {
      const { code, output } = await run(['launchctl', 'print', target(service)])
      return code === 0 && /state = running/.test(output)
    },
  }
}
