import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import type { UserEngineSettings } from '../../../src/drivers/engines/user/settings.ts'
import { formatId } from '../../../src/model/id.ts'
import type { IdKind } from '../../../src/model/id.ts'
import type { Engine, EngineSandbox, SandboxCommand, SandboxRequest } from '../../../src/ports/engine.ts'

let made = 0

/** Settings that no other engine on this machine has: several test runs, and a real agent, may be at work at once. */
export function ownSettings(): UserEngineSettings & { readonly prefix: string; readonly uidRange: readonly [number, number] } {
  made += 1
  const slot = process.pid * 7 + made
  const stateDir = mkdtempSync('/tmp/cidery-engine-')
  const firstUid = 700_000 + (slot % 9000) * 1000
  return {
    stateDir,
    prefix: `t${(slot % 46_656).toString(36).padStart(3, '0')}-`,
    uidRange: [firstUid, firstUid + 499],
    netRange: `198.19.${slot % 256}.0/24`,
  }
}

/** What of these settings is still on the machine: accounts, groups, links, control groups, processes, mounts, tables, files. */
export function leftOf(settings: ReturnType<typeof ownSettings>): readonly string[] {
  const { prefix, uidRange, stateDir } = settings
  const named = (path: string): readonly string[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith(prefix) || line.includes(` ${prefix}`) || line.includes(`/${prefix}`))
      .map((line) => `${path}: ${line}`)
  const processes = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      // A zombie waits for its parent to look, which may be this test.
      if (/^State:\s+Z/m.test(status)) return false
      const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8')
      return (uid >= uidRange[0] && uid <= uidRange[1]) || words.includes(`${stateDir}/places`)
    } catch {
      return false
    }
  })
  const groups = ['cpu', 'memory', 'pids', 'unified'].flatMap((name) => {
    try {
      return readdirSync(`/sys/fs/cgroup/${name}/cidery`).filter((group) => group.startsWith(prefix))
    } catch {
      return []
    }
  })
  return [
    ...named('/etc/passwd'),
    ...named('/etc/group'),
    ...named('/proc/net/dev'),
    ...named('/proc/self/mountinfo'),
    ...processes.map((pid) => `process ${pid}`),
    ...groups.map((group) => `control group ${group}`),
    ...readdirSync(stateDir).filter((name) => !['lock', 'uids.json', 'records'].includes(name)),
    ...readdirSync(`${stateDir}/records`).map((name) => `record ${name}`),
  ]
}

/** Takes away the state directory once everything else is gone. */
export function removeSettings(settings: ReturnType<typeof ownSettings>): void {
  rmSync(settings.stateDir, { recursive: true, force: true })
}

export function newId(kind: IdKind): string {
  return formatId(kind, Date.now(), randomBytes(16))
}

/** A request that fits every engine that this machine can have. */
export async function requestFor(engine: Engine, changes: Partial<SandboxRequest> = {}): Promise<SandboxRequest> {
  const { capabilities } = await engine.probe()
  return {
    id: newId('att'),
    jobId: newId('job'),
    image: null,
    shape: { cpu: 1, memoryMiB: 256, diskMiB: 128 },
    limits: capabilities.limits.length === 4 ? 'enforced' : 'advisory',
    network: capabilities.networks.includes('none') ? 'none' : 'host',
    blockedAddresses: [],
    mount: null,
    ...changes,
  }
}

/** A running sandbox. */
export async function boot(engine: Engine, changes: Partial<SandboxRequest> = {}): Promise<EngineSandbox> {
  const { id } = await engine.create(await requestFor(engine, changes))
  return engine.start(id)
}

export interface Inside {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command inside a sandbox to its end (60 s at most). */
export async function inside(engine: Engine, id: string, command: SandboxCommand): Promise<Inside> {
  const { argv, env, cwd } = await engine.command(id, command)
  const child = spawn(argv[0], argv.slice(1), { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000, killSignal: 'SIGKILL' })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

export const plainPath = { PATH: '/usr/bin:/bin' } as const

/** Runs a shell script inside a sandbox to its end. */
// oxlint-disable-next-line max-params -- reads like the sentence it is
export function shellInside(engine: Engine, id: string, script: string, env: Readonly<Record<string, string>> = {}): Promise<Inside> {
  return inside(engine, id, { argv: ['/bin/sh', '-c', script], env: { ...plainPath, ...env } })
}

/** Starts a shell script inside a sandbox and leaves it running; its output is dropped. Returns the pid of the launched process. */
export async function leaveRunning(engine: Engine, id: string, script: string): Promise<number> {
  const { argv, env, cwd } = await engine.command(id, { argv: ['/bin/sh', '-c', script], env: plainPath })
  const child = spawn(argv[0], argv.slice(1), { env, cwd, stdio: 'ignore', detached: true })
  child.unref()
  return child.pid ?? 0
}

/** A directory of the host with mode 0700, for things that no job may see. */
export function privateDirectory(parent: string, name: string): string {
  const path = `${parent}/${name}`
  mkdirSync(path, { mode: 0o700 })
  return path
}
