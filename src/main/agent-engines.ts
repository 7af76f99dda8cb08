import { join } from 'node:path'
import { engines as makers } from '../drivers/engines/registry.ts'
import type { EngineName } from '../model/job.ts'
import type { Engine } from '../ports/engine.ts'
import type { Log } from '../ports/log.ts'
import type { Registry } from '../ports/registry.ts'
import { readAgentConfig } from './agent-config.ts'

export interface AgentEngines {
  readonly stateDir: string
  /** Directories that no job may see besides the agent's own. */
  readonly hiddenDirs?: readonly string[]
  /** Settings per engine, handed to it as they are. */
  readonly engines?: Readonly<Partial<Record<EngineName, Readonly<Record<string, unknown>> | undefined>>> | undefined
  /** Where engines write down what they ask other programs for. */
  readonly log?: Log
  /** Where engines bring images from and send them to. */
  readonly registry?: Registry
}

/** The `user` engine and every other that has settings, each with its own directory below the agent's. */
export function makeEngines(options: AgentEngines): ReadonlyMap<EngineName, Engine> {
  const hiddenDirs = [options.stateDir, ...(options.hiddenDirs ?? [])]
  const made = new Map<EngineName, Engine>()
  const given = {
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.registry === undefined ? {} : { registry: options.registry }),
  }
  for (const [name, make] of Object.entries(makers)) {
    const key = name as EngineName
    // What nobody set up is not missed: a host without QEMU is not a host with a broken engine.
    if (key !== 'user' && options.engines?.[key] === undefined) continue
    const stateDir = join(options.stateDir, 'engines', name)
    made.set(key, make({ ...options.engines?.[key], stateDir, hiddenDirs, ...given }))
  }
  return made
}

/** The engines of the host whose agent has this directory, as its `agent.yaml` sets them. */
export async function enginesOf(stateDir: string): Promise<ReadonlyMap<EngineName, Engine>> {
  const { engines } = await readAgentConfig(stateDir)
  return makeEngines({ stateDir, engines })
}
