import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { run } from '../../commands.ts'
import type { SandboxRecord } from '../record.ts'
import { dockerThings, removeDockerThings } from './docker.ts'

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
    const uidColumns = [columns.indexOf('uid'), columns.indexOf('cuid')]
    const cells = rows.map((row) => row.trim().split(/\s+/))
    // The second column is the object's id in all three, under three different names.
    return cells.filter((row) => uidColumns.some((column) => row[column] === String(uid))).map((row) => ({ kind, id: row[1] ?? '' }))
  })
}

async function endUserManager({ uid, account }: SandboxRecord): Promise<void> {
  if (!existsSync('/run/systemd/system') || !existsSync(`/run/user/${uid}`)) return
  await run(['loginctl', 'disable-linger', account])
  await run(['systemctl', 'stop', `user@${uid}.service`, `user-${uid}.slice`])
}

/** An engine that does not answer may still run something: that is residue too. */
async function dockerLeft({ id }: SandboxRecord, dockerSocket: string): Promise<readonly string[]> {
  try {
    return (await dockerThings(dockerSocket, id)).map(({ kind, name }) => `docker ${kind} ${name}`)
  } catch (error) {
    return [`docker could not be asked: ${(error as Error).message}`]
  }
}

/** What this sandbox has outside its own storage, but for files that only a search finds. */
async function namedThings(record: SandboxRecord, dockerSocket: string): Promise<readonly string[]> {
  return [
    ...namedFiles(record).map((path) => `file ${path}`),
    ...ipcObjects(record.uid).map(({ kind, id }) => `${kind} ${id}`),
    ...(await dockerLeft(record, dockerSocket)),
  ]
}

/** Whether anything on this host belongs to a UID that may have had an owner before. */
export async function hasTraces(uid: number): Promise<boolean> {
  return ipcObjects(uid).length > 0 || (await find(uid, ['-print'])).length > 0
}

/** Looks for what a sandbox has outside its own storage. */
async function residueOf(record: SandboxRecord, dockerSocket: string): Promise<readonly string[]> {
  return [...(await find(record.uid, ['-print'])).slice(0, 20).map((path) => `file ${path}`), ...(await namedThings(record, dockerSocket))]
}

/**
 * Removes what a sandbox left outside its own storage and returns what resisted. Its processes must be gone: then nothing new can
 * come, and a search that found nothing need not be done twice.
 */
export async function removeResidue(record: SandboxRecord, dockerSocket: string): Promise<readonly string[]> {
  await endUserManager(record)
  // What cannot be asked now is told by the look that follows.
  await removeDockerThings(dockerSocket, record.id).catch(() => undefined)
  for (const { kind, id } of ipcObjects(record.uid)) await run(['ipcrm', ipcFlag[kind], id])
  for (const path of namedFiles(record)) {
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // Named by the look that follows.
    }
  }
  if ((await find(record.uid, ['-print'])).length === 0) return namedThings(record, dockerSocket)
  await find(record.uid, ['-depth', '-delete'])
  return residueOf(record, dockerSocket)
}
