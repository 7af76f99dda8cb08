import { readFileSync } from 'node:fs'
import { CideryError } from '../../../../model/errors.ts'
import { findProgram, run } from '../../commands.ts'
import type { UserEngineConfig } from '../settings.ts'

export interface Account {
  readonly name: string
  readonly uid: number
}

function lines(path: string): readonly (readonly string[])[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':'))
}

/** Accounts of this host's own password file; the engine makes accounts nowhere else. */
export function accounts(): readonly Account[] {
  return lines('/etc/passwd').map(([name = '', , uid = '']) => ({ name, uid: Number(uid) }))
}

function groups(): readonly Account[] {
  return lines('/etc/group').map(([name = '', , gid = '']) => ({ name, uid: Number(gid) }))
}

/** Whether an account can only have been made by this engine: prefix and UID range both match. */
export function isOurs(config: UserEngineConfig, account: Account): boolean {
  return account.name.startsWith(config.prefix) && account.uid >= config.firstUid && account.uid <= config.lastUid
}

function refuseForeign(config: UserEngineConfig, account: Account): void {
  if (isOurs(config, account)) return
  throw new CideryError('FORBIDDEN', `the account ${account.name} (UID ${account.uid}) was not made by cidery`, {
    hint: `only accounts ${config.prefix}… with UIDs ${config.firstUid}–${config.lastUid} are touched`,
  })
}

/** Another program may hold the password file's lock for a moment: tried again for 20 s. */
async function retryWhileLocked(argv: readonly [string, ...string[]], fine: readonly number[]): Promise<void> {
  const start = performance.now()
  for (;;) {
    const ran = await run(argv)
    if (ran.code === 0 || (ran.code !== null && fine.includes(ran.code))) return
    const locked = /lock/.test(ran.stderr)
    if (locked && performance.now() - start < 20_000) continue
    throw new CideryError('ENGINE_FAILED', `${argv[0]} failed: ${ran.stderr.trim().slice(-300)}`, { details: { code: ran.code } })
  }
}

/** Makes the account: no password, no login shell, no sub-UIDs, no home yet, no group but its own. */
export async function addAccount(config: UserEngineConfig, account: Account, home: string): Promise<void> {
  refuseForeign(config, account)
  const uid = String(account.uid)
  if (!groups().some(({ name }) => name === account.name)) await retryWhileLocked(['groupadd', '-g', uid, account.name], [])
  if (accounts().some(({ name }) => name === account.name)) return
  const nologin = findProgram('nologin') ?? '/bin/false'
  // -l: no entry in lastlog, which is a sparse file of 292 bytes × UID.
  const noSubIds = ['-K', 'SUB_UID_COUNT=0', '-K', 'SUB_GID_COUNT=0'] as const
  await retryWhileLocked(
    ['useradd', '-l', '-M', '-u', uid, '-g', uid, '-d', home, '-s', nologin, '-c', 'cidery job', ...noSubIds, account.name],
    [],
  )
}

/** Removes the account and its group; those that are gone already are fine (code 6). */
export async function removeAccount(config: UserEngineConfig, account: Account): Promise<void> {
  const present = accounts().find(({ name }) => name === account.name)
  refuseForeign(config, present ?? account)
  if (present !== undefined) await retryWhileLocked(['userdel', '-f', account.name], [6])
  if (groups().some(({ name }) => name === account.name)) await retryWhileLocked(['groupdel', account.name], [6])
}

/** Entries of this account that are still in the password or group file. */
export function accountLeft(account: Account): readonly string[] {
  const named = ({ name, uid }: Account): boolean => name === account.name || uid === account.uid
  return [
    ...accounts()
      .filter(named)
      .map(({ name }) => `account ${name}`),
    ...groups()
      .filter(named)
      .map(({ name }) => `group ${name}`),
  ]
}

/** True when something on this host answers to this UID already, from the password file or a directory service. */
export async function uidIsTaken(uid: number): Promise<boolean> {
  if (accounts().some((account) => account.uid === uid) || groups().some((group) => group.uid === uid)) return true
  if (findProgram('getent') === null) return false
  return (await run(['getent', 'passwd', String(uid)])).code === 0
}
