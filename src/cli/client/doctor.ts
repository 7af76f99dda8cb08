import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import { makeApi } from './api.ts'
import type { Api } from './api.ts'
import { findConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import { readHost } from './operation.ts'
import type { CheckView, ControllerView, DoctorView, HostView, SessionView } from './views.ts'

/**
 * Looks at everything between this terminal and the hosts, in the order it is needed; after a failed check the ones that need it are
 * left out. Never throws for what a check can say.
 */
export async function checkClient(cli: Cli, host: string | undefined): Promise<DoctorView> {
  const checks: CheckView[] = []
  const add = (found: CheckView | readonly CheckView[]) =>
    checks.push(...(Array.isArray(found) ? (found as readonly CheckView[]) : [found as CheckView]))
  const attempt = async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      add(failedCheck(name, error))
      return undefined
    }
  }

  const connection = await attempt('address', () => findConnection(cli))
  if (connection === undefined) return verdictOf(checks)
  add(
    passed(
      'address',
      `${connection.urls.map(({ href }) => href).join(', ')} from ${connection.sources.url}; trust: ${connection.sources.trust}`,
    ),
  )
  const api = makeApi(cli, connection)
  const controller = await attempt('controller', () => checkSession(cli, api, { connection, add }))
  if (controller === undefined) return verdictOf(checks)
  add(versionCheck(cli.version, controller.version))
  add(clockCheck(controller, cli.clock.now()))
  const server = await attempt('server checks', () => api.get<DoctorView>('/doctor'))
  add((server?.checks ?? []).filter((check) => host === undefined || !/^host\b/.test(check.name) || check.name.includes(host)))
  if (host !== undefined) add((await attempt(`host ${host}`, async () => hostChecks(await readHost(api, host)))) ?? [])
  return verdictOf(checks)
}

interface SessionParts {
  readonly connection: Connection
  readonly add: (check: CheckView) => void
}

async function checkSession(cli: Cli, api: Api, { connection, add }: SessionParts): Promise<ControllerView | undefined> {
  const startedAt = cli.clock.steady()
  const session = await api.get<SessionView>('/session')
  add(passed('controller', `answers in ${Math.max(1, Math.round(cli.clock.steady() - startedAt))} ms`))
  add(passed('credential', `${session.user}, ${session.role}, may ${session.scopes.join(', ')}; from ${connection.sources.token}`))
  return api.get<ControllerView>('/controller')
}

function passed(name: string, message: string): CheckView {
  return { name, state: 'passed', message, fix: null }
}

function failedCheck(name: string, error: unknown): CheckView {
  const known = error instanceof CideryError ? error : undefined
  const isCredential = known?.code === 'UNAUTHENTICATED' || known?.code === 'FORBIDDEN'
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
  const message = `${error instanceof Error ? error.message : String(error)}${cause}`
  return { name: isCredential ? 'credential' : name, state: 'failed', message, fix: known?.hint ?? null }
}

/** A controller serves clients of its own version and the one before. */
function versionCheck(client: string, controller: string): CheckView {
  if (client === controller) return passed('version', `${client} on both sides`)
  const message = `this client is ${client}, the controller ${controller}`
  return { name: 'version', state: 'warning', message, fix: 'update the older one: npm install -g cidery' }
}

const passesTooOldMs = 60_000

function clockCheck(controller: ControllerView, now: number): CheckView {
  const { lastPassAt, problem } = controller.loop
  if (problem !== null) return { name: 'loop', state: 'failed', message: problem, fix: 'read the log of the controller' }
  if (lastPassAt === null) return { name: 'loop', state: 'warning', message: 'no pass yet', fix: 'wait a few seconds and look again' }
  const age = now - lastPassAt
  if (Math.abs(age) <= passesTooOldMs) return passed('loop', `last pass ${Math.round(Math.max(0, age) / 1000)} s ago`)
  return {
    name: 'loop',
    state: 'warning',
    message: `the last pass was ${Math.round(age / 1000)} s ago by this clock`,
    fix: 'compare the clocks of both machines; restart the controller if they agree',
  }
}

function hostChecks(host: HostView): readonly CheckView[] {
  const checks: CheckView[] = []
  const name = `host ${host.name}`
  if (host.state === 'up') checks.push(passed(name, `reports; ${host.runningJobs.length} jobs`))
  else
    checks.push({
      name,
      state: 'failed',
      message: `is ${host.state}${host.silentMs === null ? '' : `, silent for ${Math.round(host.silentMs / 1000)} s`}`,
      fix: 'on the host: cidery agent status',
    })
  if (host.schedulable.kind !== 'open') {
    checks.push({
      name: `${name} schedulable`,
      state: 'warning',
      message: `is ${host.schedulable.kind}`,
      fix: `cidery host uncordon ${host.name}`,
    })
  }
  for (const engine of host.facts?.engines ?? []) checks.push(engineCheck(name, engine))
  for (const problem of host.facts?.problems ?? [])
    checks.push({ name, state: 'warning', message: problem, fix: `cidery host show ${host.name}` })
  for (const waiting of host.waiting) checks.push({ name, state: 'warning', message: waiting.message, fix: waiting.cure })
  return checks
}

function engineCheck(host: string, engine: NonNullable<HostView['facts']>['engines'][number]): CheckView {
  const name = `${host} engine ${engine.name}`
  const message = `isolates by ${engine.isolation}, ${engine.slots} slots${engine.problems.length === 0 ? '' : `; ${engine.problems.join('; ')}`}`
  if (!engine.ok) return { name, state: 'failed', message, fix: 'on the host: cidery agent verify' }
  return engine.problems.length === 0 ? passed(name, message) : { name, state: 'warning', message, fix: 'on the host: cidery agent verify' }
}

function verdictOf(checks: readonly CheckView[]): DoctorView {
  const failed = checks.some((check) => check.state === 'failed')
  const warned = checks.some((check) => check.state === 'warning')
  return { verdict: failed ? 'failed' : warned ? 'degraded' : 'healthy', checks: [...checks] }
}
