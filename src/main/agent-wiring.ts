import { join } from 'node:path'
import { folderBuildLogs } from '../drivers/build-logs/folder-build-logs.ts'
import { httpDownloads } from '../drivers/downloads/http/http-downloads.ts'
import { hostProbes } from '../drivers/host-probes/registry.ts'
import { folderIngredients } from '../drivers/ingredients/folder-ingredients.ts'
import type { HttpLink } from '../drivers/links/http/controller-link.ts'
import { gitMirrors } from '../drivers/mirrors/git/git-mirrors.ts'
import { createIds } from '../drivers/randoms/ids.ts'
import { DetachedSupervisors } from '../drivers/supervisors/detached/supervisors.ts'
import { CideryError } from '../model/errors.ts'
import type { AgentJournal, AgentPorts } from '../ports/agent.ts'
import type { Log } from '../ports/log.ts'
import type { Processes } from '../ports/processes.ts'
import type { Registry } from '../ports/registry.ts'
import type { Clock, Timers } from '../ports/time.ts'
import { makeEngines, type AgentEngines } from './agent-engines.ts'
import { supervisorEntry } from './supervisor-entry.ts'

/** The system that this process runs on; UNSUPPORTED for any but Linux and macOS. */
export function thisSystem(): 'linux' | 'darwin' {
  const { platform } = process
  if (platform === 'linux' || platform === 'darwin') return platform
  throw new CideryError('UNSUPPORTED', `cidery does not run on ${platform}`)
}

interface Wiring {
  readonly clock: Clock
  readonly timers: Timers
  readonly processes: Processes
  readonly registry: Registry
  readonly journal: AgentJournal
  readonly link: HttpLink
  readonly random: AgentPorts['random']
  readonly releases: AgentPorts['releases']
}

/** The real ones of all that an agent needs. */
export function wire(
  options: AgentEngines & { readonly log: Log },
  { journal, link, random, releases, clock, timers, processes, registry }: Wiring,
): AgentPorts {
  const { stateDir, log } = options
  const ids = createIds(clock, random)
  const downloads = httpDownloads()
  return {
    clock,
    random,
    link,
    journal,
    processes,
    releases,
    log,
    timers,
    ids,
    engines: makeEngines({ ...options, registry }),
    supervisors: new DetachedSupervisors({ directory: join(stateDir, 'supervisors'), entry: supervisorEntry }),
    probe: hostProbes[thisSystem()](stateDir),
    mirrors: gitMirrors({ folder: join(stateDir, 'mirrors'), processes }),
    ingredients: folderIngredients({
      folder: join(stateDir, 'ingredients'),
      fetch: async (url, signal) => (await downloads.read(url, signal)).bytes,
      fresh: () => ids.next('upl'),
    }),
    buildLogs: folderBuildLogs(join(stateDir, 'build-logs')),
  }
}
