import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { findProgram, run } from '../../commands.ts'
import type { SandboxRecord } from '../record.ts'

/** Directories that others than root may write to, or that daemons write to for a user. */
const searched = [
  '/tmp',
  '/var/tmp',
  '/dev/shm',
  '/dev/mqueue',
  '/run',
  '/var/spool/cron',
  '/var/spool/at',
  '/var/mail',
  '/var/crash',
  '/var/lib/systemd/linger',
  '/var/lib/systemd/coredump',
] as const

const docker = '/var/run/docker.sock'

/** Label that ties containers, volumes and networks of a job to its sandbox. */
export const dockerLabel = 'cidery.sandbox'

type FindAction = readonly ['-print'] | readonly ['-depth', '-delete']

async function find(uid: number, action: FindAction): Promise<readonly string[]> {
  const directories = searched.filter((directory) => existsSync(directory))
  const [first, ...rest] = action
  const words = first === '-depth' ? ['-depth', '-xdev', '-uid', String(uid), ...rest] : ['-xdev', '-uid', String(uid), first]
  const { stdout } = await run(['find', ...directories, ...words], { timeoutMs: 60_000 })
  return stdout.split('\n').filter(Boolean)
}

/** Files named after the account or its UID that belong to root or to a daemon. */
function namedFiles({ account, uid }: SandboxRecord): readonly string[] {
  const byName = [
    `/var/mail/${account}`,
    `/var/spool/mail/${account}`,
    `/var/spool/cron/crontabs/${account}`,
    `/var/spool/cron/${account}`,
    `/var/lib/systemd/linger/${account}`,
    `/run/user/${uid}`,
  ]
  const dumps = '/var/lib/systemd/coredump'
  const cores = existsSync(dumps) ? readdirSync(dumps).filter((name) => name.includes(`.${uid}.`)) : []
  return [...byName.filter((path) => existsSync(path)), ...cores.map((name) => `${dumps}/${name}`)]
}

interface IpcObject {
  readonly kind: 'shm' | 'sem' | 'msg'
  readonly id: string
}

const ipcFlag = { shm: '-m', sem: '-s', msg: '-q' } as const

/** System V objects of the host's own IPC namespace that this UID owns or made. */
function ipcObjects(uid: number): readonly IpcObject[] {
  return (['shm', 'sem', 'msg'] as const).flatMap((kind) => {
    const path = `/proc/sysvipc/${kind}`
    if (!existsSync(path)) return []
    const [heading = '', ...rows] = readFileSync(path, 'utf8').trim().split('\n')
    const columns = heading.trim().split(/\s+/)
    const [idColumn, ...uidColumns] = [`${kind}id`, 'uid', 'cuid'].map((name) => columns.indexOf(name))
    const cells = rows.map((row) => row.trim().split(/\s+/))
    return cells
      .filter((row) => uidColumns.some((column) => row[column] === String(uid)))
      .map((row) => ({ kind, id: row[idColumn ?? 1] ?? '' }))
  })
}

type DockerKind = 'container' | 'volume' | 'network'

async function dockerObjects(id: string): Promise<readonly (readonly [DockerKind, string])[]> {
  if (!existsSync(docker) || findProgram('docker') === null) return []
  const filter = ['--filter', `label=${dockerLabel}=${id}`, '-q'] as const
  const lists = await Promise.all([
    run(['docker', 'ps', '-a', ...filter], { timeoutMs: 20_000 }),
    run(['docker', 'volume', 'ls', ...filter], { timeoutMs: 20_000 }),
    run(['docker', 'network', 'ls', ...filter], { timeoutMs: 20_000 }),
  ])
  const kinds = ['container', 'volume', 'network'] as const
  return kinds.flatMap((kind, index) =>
    (lists[index]?.stdout ?? '')
      .split('\n')
      .filter(Boolean)
      .map((name) => [kind, name] as const),
  )
}

async function removeDockerObjects(id: string): Promise<void> {
  for (const [kind, name] of await dockerObjects(id)) {
    await run(['docker', kind, 'rm', '-f', name], { timeoutMs: 60_000 })
  }
}

async function endUserManager({ uid, account }: SandboxRecord): Promise<void> {
  if (!existsSync('/run/systemd/system') || !existsSync(`/run/user/${uid}`)) return
  await run(['loginctl', 'disable-linger', account])
  await run(['systemctl', 'stop', `user@${uid}.service`, `user-${uid}.slice`])
}

/** What this sandbox has outside its own storage, but for files that only a search finds. */
async function namedThings(record: SandboxRecord): Promise<readonly string[]> {
  return [
    ...namedFiles(record).map((path) => `file ${path}`),
    ...ipcObjects(record.uid).map(({ kind, id }) => `${kind} ${id}`),
    ...(await dockerObjects(record.id)).map(([kind, name]) => `docker ${kind} ${name}`),
  ]
}

/** Looks for what a sandbox has outside its own storage. */
export async function residueOf(record: SandboxRecord): Promise<readonly string[]> {
  return [...(await find(record.uid, ['-print'])).slice(0, 20).map((path) => `file ${path}`), ...(await namedThings(record))]
}

/**
 * Removes what a sandbox left outside its own storage and returns what resisted. Its processes must be gone: then nothing new can
 * come, and a search that found nothing need not be done twice.
 */
export async function removeResidue(record: SandboxRecord): Promise<readonly string[]> {
  await endUserManager(record)
  await removeDockerObjects(record.id)
  for (const { kind, id } of ipcObjects(record.uid)) await run(['ipcrm', ipcFlag[kind], id])
  for (const path of namedFiles(record)) {
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // Named by the look that follows.
    }
  }
  if ((await find(record.uid, ['-print'])).length === 0) return namedThings(record)
  await find(record.uid, ['-depth', '-delete'])
  return residueOf(record)
}
