/** One program with its words. Everything that the macOS side asks of the system is built here, without doing it. */
export type MacCommand = readonly [string, ...string[]]

export interface MacAccount {
  readonly name: string
  readonly uid: number
}

const node = '.'

/** A group of its own, then an account without password, shell or admin rights, hidden from the login window. */
export function addAccountCommands({ name, uid }: MacAccount, home: string): readonly MacCommand[] {
  const create = (path: string, ...words: readonly string[]): MacCommand => ['/usr/bin/dscl', node, '-create', path, ...words]
  return [
    create(`/Groups/${name}`),
    create(`/Groups/${name}`, 'PrimaryGroupID', String(uid)),
    create(`/Users/${name}`),
    create(`/Users/${name}`, 'UniqueID', String(uid)),
    create(`/Users/${name}`, 'PrimaryGroupID', String(uid)),
    create(`/Users/${name}`, 'NFSHomeDirectory', home),
    create(`/Users/${name}`, 'UserShell', '/usr/bin/false'),
    create(`/Users/${name}`, 'RealName', 'cidery job'),
    create(`/Users/${name}`, 'Password', '*'),
    create(`/Users/${name}`, 'IsHidden', '1'),
  ]
}

/** The home is removed by its owner beforehand, so sysadminctl is told to keep its hands off; dscl takes what it leaves. */
export function removeAccountCommands(name: string): readonly MacCommand[] {
  return [
    ['/usr/sbin/sysadminctl', '-deleteUser', name, '-keepHome'],
    ['/usr/bin/dscl', node, '-delete', `/Users/${name}`],
    ['/usr/bin/dscl', node, '-delete', `/Groups/${name}`],
  ]
}

export function listAccountsCommand(): MacCommand {
  return ['/usr/bin/dscl', node, '-list', '/Users', 'UniqueID']
}

export function listGroupsCommand(): MacCommand {
  return ['/usr/bin/dscl', node, '-list', '/Groups', 'PrimaryGroupID']
}

/** Reads `name   number` lines of `dscl -list`. */
export function readListing(text: string): readonly MacAccount[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(\S+)\s+(-?\d+)\s*$/.exec(line)
    return match === null ? [] : [{ name: match[1] ?? '', uid: Number(match[2]) }]
  })
}

export function makeHomeCommands(uid: number, home: string): readonly MacCommand[] {
  return [
    ['/bin/mkdir', '-p', '-m', '0700', home],
    ['/usr/sbin/chown', `${uid}:${uid}`, home],
    ['/bin/chmod', '0700', home],
    // Below the home as its owner only: whatever lies there already is the job's.
    ['/usr/bin/sudo', '-n', '-u', `#${uid}`, '--', '/bin/mkdir', '-p', '-m', '0700', `${home}/work`, `${home}/tmp`, `${home}/.secrets`],
  ]
}

/** Variables that sudo and launchd add to what they start. */
export const startersOwn = [
  'SUDO_COMMAND',
  'SUDO_USER',
  'SUDO_UID',
  'SUDO_GID',
  'HOME',
  'LOGNAME',
  'USER',
  'MAIL',
  'PATH',
  'SHELL',
  'TERM',
  '__CF_USER_TEXT_ENCODING',
  'XPC_FLAGS',
  'XPC_SERVICE_NAME',
] as const

/** Enters the user's own launchd domain, then becomes the user; only the carriers of the job's environment come along, by name. */
export function enterWords({ uid, carriers }: { readonly uid: number; readonly carriers: readonly string[] }): MacCommand {
  const keep = carriers.length === 0 ? [] : [`--preserve-env=${carriers.join(',')}`]
  return ['/bin/launchctl', 'asuser', String(uid), '/usr/bin/sudo', '-n', '-u', `#${uid}`, ...keep, '--']
}

export function listProcessesCommand(): MacCommand {
  return ['/bin/ps', '-axo', 'pid=,uid=,ruid=,stat=,comm=']
}

/** Living processes of a user, by effective or real UID. */
export function readProcesses(text: string, uid: number): readonly { readonly pid: number; readonly command: string }[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(-?\d+)\s+(-?\d+)\s+(\S+)\s+(.*)$/.exec(line)
    if (match === null || match[4]?.startsWith('Z') === true) return []
    return [match[2], match[3]].includes(String(uid)) ? [{ pid: Number(match[1]), command: match[5] ?? '?' }] : []
  })
}

/** Ends the user's launchd domains with every job in them: agents, cron-like units, XPC services. */
export function bootOutCommands(uid: number): readonly MacCommand[] {
  return [
    ['/bin/launchctl', 'bootout', `gui/${uid}`],
    ['/bin/launchctl', 'bootout', `user/${uid}`],
  ]
}

/** Directories that others than root may write to, or that the system keeps for a user. */
const searched = ['/private/tmp', '/private/var/tmp', '/private/var/folders', '/private/var/at', '/cores', '/Users/Shared'] as const

export function findFilesCommand(uid: number, action: 'print' | 'delete'): MacCommand {
  const base = ['/usr/bin/find', ...searched, '-xdev', '-user', String(uid)] as const
  return action === 'print' ? [...base, '-print'] : [...base, '-depth', '-delete']
}

/** Files that are named after the account. */
export function namedFiles(name: string): readonly string[] {
  return [`/private/var/mail/${name}`, `/private/var/at/tabs/${name}`]
}

export function removeFilesCommand(paths: readonly string[]): MacCommand {
  return ['/bin/rm', '-rf', ...paths]
}

export function listIpcCommand(): MacCommand {
  return ['/usr/bin/ipcs', '-a']
}

/** Reads the rows of `ipcs -a`: `T ID KEY MODE OWNER GROUP …`, T being m, s or q. */
export function removeIpcCommands(text: string, name: string): readonly MacCommand[] {
  return text.split('\n').flatMap((line): MacCommand[] => {
    const [kind = '', id = '', , , owner] = line.trim().split(/\s+/)
    return /^[msq]$/.test(kind) && owner === name ? [['/usr/bin/ipcrm', `-${kind}`, id]] : []
  })
}

export function mountsCommand(): MacCommand {
  return ['/sbin/mount']
}

/** Mount points under a directory, deepest first, from the output of `mount`: `/dev/disk4s1 on /Users/x/vol (apfs, local)`. */
export function unmountCommands(text: string, directory: string): readonly MacCommand[] {
  const points = [...text.matchAll(/ on (\/.*) \([^()]*\)$/gm)].map(([, point]) => point ?? '')
  const under = points.filter((point) => point.startsWith(`${directory}/`)).sort((a, b) => b.length - a.length)
  return under.map((point) => ['/usr/sbin/diskutil', 'unmount', 'force', point])
}

/** Programs that have to be there; all but Xcode's are part of the system. */
export const neededPrograms = [
  '/usr/bin/dscl',
  '/usr/sbin/sysadminctl',
  '/bin/launchctl',
  '/usr/bin/sudo',
  '/bin/ps',
  '/usr/bin/find',
  '/usr/bin/lockf',
] as const
