import { chmod, mkdir } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { defaultPrefix } from '../drivers/engines/user/settings.ts'
import { machineArch } from '../drivers/host-probes/machine.ts'
import { openFolderJournal } from '../drivers/journals/folder/folder-journal.ts'
import { createHttpLink, type HttpLink } from '../drivers/links/http/controller-link.ts'
import { controllerUrls } from '../drivers/links/http/trust.ts'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { LocalProcesses } from '../drivers/processes/local-processes.ts'
import { createSystemRandom } from '../drivers/randoms/system-random.ts'
import { startAgentLoop, type AgentEnd, type AgentLoop } from '../loop/agent.ts'
import { keyringOf, type Keyring } from '../loop/agent/keyring.ts'
import { defaultNetworkWait, enrol, waitForController, type NetworkWait } from '../loop/agent/start.ts'
import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import { defaultVerdictPolicy } from '../observe/agent/verdict.ts'
import type { AgentIdentity, AgentJournal, AgentPorts } from '../ports/agent.ts'
import type { HeldLock } from '../ports/lock.ts'
import type { Log } from '../ports/log.ts'
import { lockAccounts } from './account-lock.ts'
import { readAgentConfig } from './agent-config.ts'
import type { AgentEngines } from './agent-engines.ts'
import { serveHealth, type HealthAddress } from './agent-health.ts'
import { makeRegistry, type RegistriesConfig } from './agent-registry.ts'
import { thisSystem, wire } from './agent-wiring.ts'
import { releasesOf } from './own-release.ts'

export interface RunAgentOptions {
  /** A directory of this host identity alone; made 0700. */
  readonly stateDir: string
  readonly version: string
  readonly log: Log
  /** The controller, or several with commas between; null: those that this host enrolled with. */
  readonly controllerUrl: string | null
  /** SHA-256 of the controller's CA; null on loopback, or for a certificate that the system trusts. */
  readonly caFingerprint: string | null
  /** Needed once, by a host that has no identity yet. */
  readonly enrolmentToken: string | null
  /** Plain HTTP to another machine, for development. */
  readonly allowPlainHttp?: boolean
  /** How long to wait for another agent of this identity to end before AGENT_LOCKED; default: not at all. */
  readonly lockWaitMs?: Milliseconds
  /** Lets operations restart this machine. */
  readonly allowReboot?: boolean
  /** Where `/health` is served; null: nowhere. */
  readonly health?: HealthAddress | null
  readonly networkWait?: NetworkWait
  /** Prove at start and when due that sandboxes boot; default true. */
  readonly bootProbes?: boolean
  /** Its process is nothing but this agent, so that an upgrade can replace it; default false. */
  readonly alone?: boolean
  /** It is a new release on trial. */
  readonly inTrial?: boolean
  /** Directories that no job may see besides the agent's own: the controller's, when both are in one process. */
  readonly hiddenDirs?: readonly string[]
  /** Addresses that no job behind `nat` may reach besides the controller's: `host` or `host:port`. */
  readonly blockedAddresses?: readonly string[]
  /** Aborted when the start is to be given up. */
  readonly signal?: AbortSignal
  /** Settings per engine, handed to it as they are (`slots`, `prefix`, `uidRange`, …). */
  readonly engines?: AgentEngines['engines']
  /** Registries that images come from and go to. */
  readonly registries?: RegistriesConfig | undefined
}

export interface RunningAgent {
  readonly hostId: string
  readonly name: string
  /** Where health is served; null when it is not. */
  readonly healthUrl: string | null
  /** Resolves when the agent ended by itself or was stopped; everything it held is given back by then. */
  readonly ended: Promise<AgentEnd>
  /** Stops the agent. Jobs go on under their supervisors; the next agent takes them over. */
  stop(): Promise<void>
  online(): boolean
}

/** What an agent process exits with; the service files and docs/guide/agent.md say what follows from each. */
export const agentExitCodes = { stopped: 0, failed: 1, usage: 2, notEnrolled: 4, locked: 5, restart: 75 } as const

/** The exit code of an agent that ended, or that could not start. */
export function agentExitCode(end: AgentEnd | CideryError | Error): number {
  if (end === 'stopped') return agentExitCodes.stopped
  if (end === 'restart') return agentExitCodes.restart
  if (!(end instanceof CideryError)) return agentExitCodes.failed
  switch (end.code) {
    case 'AGENT_LOCKED':
      return agentExitCodes.locked
    case 'UNAUTHENTICATED':
    case 'FORBIDDEN':
      return agentExitCodes.notEnrolled
    case 'INVALID_INPUT':
    case 'TLS_REQUIRED':
      return agentExitCodes.usage
    default:
      return agentExitCodes.failed
  }
}

const osNames = { linux: 'linux', darwin: 'macos' } as const
const rebootCommands = { linux: ['systemctl', 'reboot'], macos: ['/sbin/shutdown', '-r', 'now'] } as const

/**
 * Starts an agent: takes the lock of this host identity, waits for the network, enrols when it has no identity, and runs the loop. Throws
 * AGENT_LOCKED within a second when another agent runs on this state, UNAUTHENTICATED when there is neither an identity nor a token,
 * TLS_REQUIRED for plain HTTP to another machine.
 */
export async function runAgent(options: RunAgentOptions): Promise<RunningAgent> {
  const { stateDir, log } = options
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  await chmod(stateDir, 0o700)
  try {
    // First of all, so that a second agent touches nothing.
    return await startLocked(options, await takeLock(options))
  } catch (error) {
    log.error(error instanceof Error ? error.message : 'the agent could not start')
    throw error
  }
}

const lockPause: Milliseconds = 200

/** A service manager may start the next agent while the last one is still ending: that one waits until the lock is free. */
async function takeLock({ stateDir, log, lockWaitMs = 0 }: RunAgentOptions): Promise<HeldLock> {
  const locks = createKernelLock()
  const until = performance.now() + lockWaitMs
  for (let tried = 1; ; tried += 1) {
    try {
      return await locks.acquire(join(stateDir, 'agent.lock'), 'agent')
    } catch (error) {
      if (!(error instanceof CideryError) || error.code !== 'AGENT_LOCKED' || performance.now() >= until) throw error
      if (tried === 1) log.info('waiting for the agent that runs now to end', { lock: error.message })
      await setTimeout(lockPause)
    }
  }
}

async function startLocked(options: RunAgentOptions, lock: HeldLock): Promise<RunningAgent> {
  try {
    // What belongs to this one machine; an option that was given goes first.
    const configured = { ...(await readAgentConfig(options.stateDir)), ...options } as RunAgentOptions
    return await startAlone(configured, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function startAlone(options: RunAgentOptions, lock: HeldLock): Promise<RunningAgent> {
  const prefix = options.engines?.user?.['prefix']
  const accounts = await lockAccounts(typeof prefix === 'string' ? prefix : defaultPrefix)
  try {
    return await startHeld(options, async () => {
      await accounts.release()
      await lock.release()
    })
  } catch (error) {
    await accounts.release()
    throw error
  }
}

async function startHeld(options: RunAgentOptions, release: () => Promise<void>): Promise<RunningAgent> {
  const { stateDir, log } = options
  const journal = await openFolderJournal(join(stateDir, 'journal'))
  const target = await controllerOf(options, journal)
  const random = createSystemRandom()
  const keyring = keyringOf(journal, random)
  const link = createHttpLink({ ...target, allowPlainHttp: options.allowPlainHttp ?? false, key: () => keyring.present() })
  const releases = await releasesOf(stateDir, options.alone ?? false)
  const base = { clock: createSystemClock(), timers: createSystemTimers(), random, processes: new LocalProcesses() }
  const registry = makeRegistry(options.registries ?? {}, { ...base, log })
  const ports = wire(options, { ...base, journal, link, releases, registry })
  const signal = options.signal ?? new AbortController().signal
  try {
    const ready = await waitForController(ports, options.networkWait ?? defaultNetworkWait, signal).catch((error: unknown) =>
      stayWithJobs(error, ports),
    )
    if (!ready) log.warn('the controller does not answer; the agent starts all the same and connects when it does', { url: target.url })
    const loop = await startLoop(options, { ports, keyring, target })
    return await running(options, {
      loop,
      keyring,
      link,
      async release() {
        registry.close()
        await release()
      },
    })
  } catch (error) {
    link.close()
    registry.close()
    throw error
  }
}

/** A host that belongs to a fleet leads its jobs to their end whoever shows up in place of its controller; one that does not yet, goes no further. */
async function stayWithJobs(error: unknown, { journal, log }: Pick<AgentPorts, 'journal' | 'log'>): Promise<false> {
  if ((await journal.identity()) === null) throw error
  log.error('the controller is not the one that this host belongs to', {
    error: error instanceof Error ? error.message : 'an unknown fault',
  })
  return false
}

interface Target {
  readonly url: string
  readonly caFingerprint: string | null
}

/** The controller that was named, or the one that this host belongs to. */
async function controllerOf(options: RunAgentOptions, journal: AgentJournal): Promise<Target> {
  const stored = await journal.identity()
  const url = options.controllerUrl ?? stored?.controllerUrl
  if (url === undefined) {
    throw new CideryError('UNAUTHENTICATED', 'this host is not enrolled, and no controller was named', {
      hint: 'run `cidery host add` on the controller and paste the line it prints',
    })
  }
  const target = { url, caFingerprint: options.caFingerprint ?? stored?.caFingerprint ?? null }
  controllerUrls({ ...target, allowPlainHttp: options.allowPlainHttp ?? false })
  return target
}

interface Started {
  readonly ports: AgentPorts
  readonly keyring: Keyring
  readonly target: Target
}

async function startLoop(options: RunAgentOptions, { ports, keyring, target }: Started): Promise<AgentLoop> {
  const os = osNames[thisSystem()]
  const { url, caFingerprint } = target
  const names = { hostname: hostname(), os, arch: machineArch() }
  const enrolment = options.enrolmentToken === null ? null : { token: options.enrolmentToken, controllerUrl: url, caFingerprint, ...names }
  await enrol(ports, keyring, { enrolment, signal: options.signal ?? new AbortController().signal })
  await followMove(ports.journal, keyring, target)
  return startAgentLoop(ports, {
    agentVersion: options.version,
    bootId: await ports.probe.bootId(),
    instanceId: Buffer.from(ports.random.bytes(12)).toString('base64url'),
    os,
    keyring,
    blockedAddresses: [...controllerUrls({ url, caFingerprint, allowPlainHttp: true }).map(addressOf), ...(options.blockedAddresses ?? [])],
    rebootCommand: options.allowReboot === true ? rebootCommands[os] : null,
    hostEnvironment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: homedir(), LANG: process.env['LANG'] ?? 'C.UTF-8' },
    bootProbes: options.bootProbes ?? true,
    inTrial: options.inTrial ?? false,
    healthPolicy: (options.health ?? null) === null ? null : defaultVerdictPolicy,
  })
}

function addressOf({ hostname: host, port, protocol }: URL): string {
  return `${host}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`
}

/** A controller that moved to another URL keeps its hosts: the new one is remembered. */
async function followMove(journal: AgentJournal, keyring: Keyring, target: Target): Promise<void> {
  const held: AgentIdentity = keyring.identity()
  if (held.controllerUrl === target.url && held.caFingerprint === target.caFingerprint) return
  const next = { ...held, controllerUrl: target.url, caFingerprint: target.caFingerprint }
  await journal.saveIdentity(next)
  keyring.hold(next)
}

interface Held {
  readonly loop: AgentLoop
  readonly keyring: Keyring
  readonly link: HttpLink
  readonly release: () => Promise<void>
}

async function running(options: RunAgentOptions, { loop, keyring, link, release }: Held): Promise<RunningAgent> {
  const address = options.health ?? null
  const endpoint =
    address === null
      ? null
      : await serveHealth(address, () => loop.health()).catch(async (error: unknown) => {
          await loop.stop()
          throw error
        })
  const { hostId, name } = keyring.identity()
  options.log.info('the agent runs', { host: name, id: hostId, health: endpoint?.url ?? 'off' })
  const ended = loop.ended.then(async (end) => {
    await endpoint?.close()
    link.close()
    await release()
    return end
  })
  return {
    hostId,
    name,
    healthUrl: endpoint?.url ?? null,
    ended,
    async stop() {
      await loop.stop()
      await ended
    },
    online: () => loop.online(),
  }
}
