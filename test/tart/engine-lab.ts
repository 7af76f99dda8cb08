import { readFileSync } from 'node:fs'
import type { TartEngineSettings } from '../../src/drivers/engines/tart/settings.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { images, type TartLab } from './lab.ts'

/** Settings of an engine on a Mac of the tests. */
export function settingsFor(
  lab: TartLab,
  changes: Partial<Omit<TartEngineSettings, 'log'>> = {},
): TartEngineSettings & { readonly images: Readonly<Record<string, string>>; readonly log: ReturnType<typeof recordingLog> } {
  const { PATH: _, HOME: __, TART_HOME: ___, ...env } = lab.environment
  return {
    stateDir: `${lab.root}/state`,
    program: lab.program,
    home: lab.home,
    slots: 4,
    images: { 'macos-15': images.macos, 'debian-12': images.linux },
    env,
    agentSeconds: 2,
    bootSeconds: 60,
    ghostSeconds: 2,
    bootId: () => Promise.resolve(lab.bootId()),
    log: recordingLog(),
    ...changes,
  }
}

/** What a machine is set to. */
export function configOf(
  lab: TartLab,
  name: string,
): { readonly macAddress: string; readonly cpuCount: number; readonly memorySize: number } {
  return JSON.parse(readFileSync(`${lab.path(name)}/config.json`, 'utf8'))
}
