import { lstat, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { createHttpLink } from '../drivers/links/http/controller-link.ts'
import { controllerUrls } from '../drivers/links/http/trust.ts'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { adoptRelease } from '../drivers/releases/folder/adopt.ts'
import { releasePlaces } from '../drivers/releases/folder/places.ts'
import { serviceManagers } from '../drivers/services/registry.ts'
import { CideryError } from '../model/errors.ts'
import type { Proof } from '../model/readiness.ts'
import type { AgentIdentity } from '../ports/agent.ts'
import type { ServiceDefinition, ServiceManager } from '../ports/services.ts'
import { enginesOf } from './agent-engines.ts'
import { agentExitCodes } from './agent.ts'
import { isRelease, ownRoot } from './own-release.ts'

export interface AgentServiceOptions {
  /** The agent's own directory. */
  readonly stateDir: string
  /** Words after `cidery agent run`, besides `--state`: `--health`, `127.0.0.1:8080`, …. Never a token. */
  readonly words: readonly string[]
  /** Account it runs as; null: root. */
  readonly user: string | null
  /** Tart's virtual machines need the desktop session of a logged-in user. */
  readonly desktopSession: boolean
  /** `CIDERY_…` variables that the service needs. */
  readonly environment: Readonly<Record<string, string>>
  readonly manager?: ServiceManager
  /** Folder of the cidery that is installed; default: this one. */
  readonly root?: string
}

/** One requirement of a host and whether it holds. */
export interface AgentCheck {
  readonly name: string
  readonly state: 'passed' | 'warning' | 'failed'
  readonly message: string
  /** The next thing to type; null when there is nothing to do. */
  readonly fix: string | null
}

const throttleS = 10
/** Longer than systemd's TimeoutStopSec: whatever ends slowly has been killed by then. */
const lockWait = '60s'
const secretForm = /cidery_(?:enr|key|tok)_[A-Za-z0-9_-]+/

export function serviceManager(): ServiceManager {
  const { platform } = process
  if (platform === 'linux' || platform === 'darwin') return serviceManagers[platform]()
  throw new CideryError('UNSUPPORTED', `cidery installs no services on ${platform}`)
}

/**
 * The agent as a service: absolute paths, no secret. A release that brings its Node runs from the agent's own directory, by the link that an upgrade moves;
 * anything else from where it lies, on this Node. INVALID_INPUT when a token is among the words.
 */
export function agentService(options: AgentServiceOptions): ServiceDefinition {
  const { stateDir, words, user, desktopSession, environment } = options
  if (!isAbsolute(stateDir)) throw new CideryError('INVALID_INPUT', `the state directory ${stateDir} is not an absolute path`)
  for (const text of [...words, ...Object.values(environment)]) {
    if (secretForm.test(text))
      throw new CideryError('INVALID_INPUT', 'a service file is readable by everybody: no token may be in it', {
        hint: 'enrol first (cidery agent enrol), then install the service',
      })
  }
  const { root = ownRoot } = options
  const bin = isRelease(root) ? join(releasePlaces(stateDir).current, 'bin') : join(root, 'bin')
  return {
    name: 'cidery-agent',
    description: 'cidery agent: runs CI jobs on this host',
    argv: [
      isRelease(root) ? join(bin, 'node') : process.execPath,
      join(bin, 'cidery.js'),
      'agent',
      'run',
      '--state',
      stateDir,
      '--wait-for-lock',
      lockWait,
      ...words,
    ],
    environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
    user,
    logFile: desktopSession ? join(homedir(), 'Library', 'Logs', 'cidery', 'agent.log') : '/var/log/cidery/agent.log',
    desktopSession,
    throttleS,
    ordinaryExits: [agentExitCodes.restart],
  }
}

/** Installs the agent's service and starts it. Gives what was done, line by line. */
export async function installAgentService(options: AgentServiceOptions): Promise<readonly string[]> {
  const manager = options.manager ?? serviceManager()
  const { root = ownRoot, stateDir } = options
  const service = agentService(options)
  if (!isRelease(root)) return manager.install(service)
  const { version, path } = await adoptRelease(root, stateDir)
  return [`cidery ${version} is in ${path}`, ...(await manager.install(service))]
}

/** Stops the agent's service and removes it; its state and its jobs stay. */
export async function uninstallAgentService(options: AgentServiceOptions): Promise<readonly string[]> {
  const manager = options.manager ?? serviceManager()
  return manager.uninstall(agentService(options))
}

/** Looks at each requirement of a host that runs an agent. An engine mends the rights of its own directory; nothing else is changed. */
export async function verifyAgent(options: AgentServiceOptions & { readonly healthUrl: string | null }): Promise<readonly AgentCheck[]> {
  const manager = options.manager ?? serviceManager()
  const service = agentService(options)
  return [
    ...(await serviceChecks(manager, service)),
    ...(await stateChecks(options.stateDir)),
    ...(await verifyEngines(options.stateDir)),
    await lockCheck(options.stateDir),
    await controllerCheck(options.stateDir),
    ...(options.healthUrl === null ? [] : [await healthCheck(options.healthUrl)]),
  ]
}

function passed(name: string, message: string): AgentCheck {
  return { name, state: 'passed', message, fix: null }
}

function failed(name: string, message: string, fix: string): AgentCheck {
  return { name, state: 'failed', message, fix }
}

const reinstall = 'cidery agent install'

/** What a service file has to say, so that agents come back and jobs stay. */
const fileRequirements = {
  systemd: { restarts: [/^Restart=always$/m, /^RestartSec=\d+$/m], keepsJobs: [/^KillMode=process$/m], logs: [] },
  launchd: {
    restarts: [/<key>KeepAlive<\/key>\s*<true\/>/, /<key>ThrottleInterval<\/key>/, /<key>RunAtLoad<\/key>\s*<true\/>/],
    keepsJobs: [/<key>AbandonProcessGroup<\/key>\s*<true\/>/],
    logs: [/<key>StandardOutPath<\/key>\s*<string>(?!\/(?:private\/)?tmp\/)/],
  },
} as const satisfies Record<ServiceManager['kind'], Record<string, readonly RegExp[]>>

/** `problem` null: the requirement holds. */
function judged(name: string, good: string, problem: string | null): AgentCheck {
  return problem === null ? passed(name, good) : failed(name, problem, reinstall)
}

function says(content: string, patterns: readonly RegExp[]): string | null {
  return patterns.every((pattern) => pattern.test(content)) ? null : 'the service file does not say so'
}

async function serviceChecks(manager: ServiceManager, service: ServiceDefinition): Promise<readonly AgentCheck[]> {
  const { path } = manager.file(service)
  const content = await readFile(path, 'utf8').catch(() => null)
  if (content === null) return [failed('service file', `${path} is not there`, reinstall)]
  const wanted = fileRequirements[manager.kind]
  const problems = await manager.check({ path, content })
  const programs = [service.argv[0], service.argv[1] ?? '']
  const missing = (await Promise.all(programs.map(async (each) => ((await exists(each)) ? [] : [each])))).flat()
  const running = await manager.isRunning(service)
  return [
    passed('service file', path),
    judged('service file is valid', `${manager.kind} has no complaint`, problems.length === 0 ? null : problems.join('; ')),
    judged('program is there', programs.join(' '), missing.length === 0 ? null : `${missing.join(', ')} is missing`),
    judged('no secret in the service file', 'none found', secretForm.test(content) ? `${path} holds a token` : null),
    judged('restarted when it ends', `after ${service.throttleS} s`, says(content, wanted.restarts)),
    judged('jobs outlive the agent', 'only the agent is ended with the service', says(content, wanted.keepsJobs)),
    judged('log outside /tmp', manager.kind === 'systemd' ? 'the journal has it' : service.logFile, says(content, wanted.logs)),
    judged('service runs', service.name, running ? null : `${service.name} is not running`),
  ]
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function stateChecks(stateDir: string): Promise<readonly AgentCheck[]> {
  const folder = await lstat(stateDir).catch(() => null)
  if (folder === null) return [failed('state directory', `${stateDir} is not there`, 'cidery agent run')]
  const own = folder.uid === process.getuid?.()
  const closed = (folder.mode & 0o077) === 0
  const checks = [
    closed && own
      ? passed('state directory is private', stateDir)
      : failed('state directory is private', `${stateDir} can be read by others`, `chmod 700 ${stateDir}`),
  ]
  const file = join(stateDir, 'journal', 'identity.json')
  const identity = await lstat(file).catch(() => null)
  if (identity === null) return [...checks, failed('enrolled', 'this host has no identity', 'cidery host add')]
  const secret = (identity.mode & 0o077) === 0
  return [
    ...checks,
    passed('enrolled', file),
    secret ? passed('key is private', file) : failed('key is private', `${file} can be read by others`, `chmod 600 ${file}`),
  ]
}

/** Whether each engine could start a job now: disk, memory, programs, and what an earlier job left. Without a state directory there is none. */
export async function verifyEngines(stateDir: string): Promise<readonly AgentCheck[]> {
  if (!(await exists(stateDir))) return []
  const checks: AgentCheck[] = []
  for (const [engine, { ok, reason }] of await proofsOf(stateDir)) {
    const name = `engine ${engine} can start a job`
    checks.push(
      ok ? passed(name, 'disk, memory and programs are there') : failed(name, reason, 'mend what it names, then: cidery agent verify'),
    )
  }
  return checks
}

async function proofsOf(stateDir: string): Promise<readonly (readonly [string, Proof])[]> {
  const engines = [...(await enginesOf(stateDir))]
  return Promise.all(engines.map(async ([name, engine]) => [name, await engine.check(null)] as const))
}

async function lockCheck(stateDir: string): Promise<AgentCheck> {
  const path = join(stateDir, 'agent.lock')
  // Asking for a lock makes its directory, and nobody asked for that.
  if (!(await exists(stateDir))) return failed('one agent runs', `${stateDir} is not there`, 'cidery agent run')
  try {
    const lock = await createKernelLock().acquire(path, 'agent')
    await lock.release()
    return failed('one agent runs', 'no agent holds the lock', 'cidery agent run')
  } catch (error) {
    if (error instanceof CideryError && error.code === 'AGENT_LOCKED') return passed('one agent runs', error.message)
    return failed('one agent runs', error instanceof Error ? error.message : 'the lock cannot be looked at', `ls -l ${path}`)
  }
}

async function controllerCheck(stateDir: string): Promise<AgentCheck> {
  const name = 'controller answers'
  // Read as it is: the journal belongs to the agent that runs.
  const identity = await readFile(join(stateDir, 'journal', 'identity.json'), 'utf8').then(
    (text) => JSON.parse(text) as AgentIdentity,
    () => null,
  )
  if (identity === null) return failed(name, 'this host has no identity', 'cidery host add')
  const target = { url: identity.controllerUrl, caFingerprint: identity.caFingerprint }
  const urls = controllerUrls({ ...target, allowPlainHttp: true })
  const shown = urls.map(({ origin }) => origin).join(', ')
  const link = createHttpLink({ ...target, allowPlainHttp: true, key: () => identity.key })
  try {
    if (await link.health(5000)) return passed(name, `${shown}${urls[0].protocol === 'https:' ? ' over TLS' : ''}`)
    return failed(name, `${shown} does not answer`, `curl -v ${new URL('/healthz', urls[0]).href}`)
  } finally {
    link.close()
  }
}

async function healthCheck(url: string): Promise<AgentCheck> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
    const text = (await response.text()).trim()
    return response.ok ? passed('healthy', text) : failed('healthy', text.replaceAll('\n', '; '), 'cidery doctor')
  } catch {
    // Refused or silent: either way nobody serves it.
    return failed('healthy', `${url} does not answer`, 'cidery agent run --health 127.0.0.1:8080')
  }
}
