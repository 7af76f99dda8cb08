import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { waitUntil } from '../../wait.ts'
import type { SandboxRecord } from '../record.ts'

export type LimitName = 'cpu' | 'memory' | 'processes'

/** Where control groups are mounted on this host: each v1 controller by itself, and the v2 tree with what it controls. */
export interface Cgroups {
  readonly v1: Readonly<Partial<Record<LimitName, string>>>
  readonly v2: string | null
  readonly v2Controllers: readonly string[]
}

const controllerOf = { cpu: 'cpu', memory: 'memory', processes: 'pids' } as const satisfies Record<LimitName, string>
const limitNames = ['cpu', 'memory', 'processes'] as const satisfies readonly LimitName[]

/** Name of the group that all sandboxes' groups are in. */
const parentGroup = 'cidery'

const schedulerPeriodUs = 100_000

interface GroupMount {
  readonly path: string
  readonly type: string
  readonly controllers: readonly string[]
}

function readGroupMount(line: string): GroupMount | null {
  const [left = '', right = ''] = line.split(' - ')
  const [, , , , path = '', options = ''] = left.split(' ')
  const [type = '', , superOptions = ''] = right.split(' ')
  const usable = (type === 'cgroup' || type === 'cgroup2') && !options.split(',').includes('ro')
  return usable ? { path, type, controllers: superOptions.split(',') } : null
}

/** Reads the mounts of control groups from the text of /proc/self/mountinfo; read-only mounts do not count. */
export function readCgroups(mountinfo: string, controllersOf: (v2: string) => readonly string[]): Cgroups {
  const mounts = mountinfo
    .split('\n')
    .map((line) => readGroupMount(line))
    .filter((mount) => mount !== null)
  const v1Mounts = mounts.filter(({ type }) => type === 'cgroup')
  const v1: Partial<Record<LimitName, string>> = {}
  for (const name of limitNames) {
    const mount = v1Mounts.find(({ controllers }) => controllers.includes(controllerOf[name]))
    if (mount !== undefined) v1[name] = mount.path
  }
  const v2 = mounts.find(({ type }) => type === 'cgroup2')?.path ?? null
  return { v1, v2, v2Controllers: v2 === null ? [] : controllersOf(v2) }
}

/** The control groups of this host. */
export function detectCgroups(): Cgroups {
  return readCgroups(readFileSync('/proc/self/mountinfo', 'utf8'), (v2) => {
    try {
      return readFileSync(`${v2}/cgroup.controllers`, 'utf8').trim().split(/\s+/).filter(Boolean)
    } catch {
      return []
    }
  })
}

/** Limits that can be enforced with these groups. */
export function enforceable(groups: Cgroups): readonly LimitName[] {
  return limitNames.filter((name) => groups.v1[name] !== undefined || groups.v2Controllers.includes(controllerOf[name]))
}

/** What of a sandbox its groups depend on. */
type LimitedSandbox = Pick<SandboxRecord, 'account' | 'shape'>

interface Group {
  readonly path: string
  readonly settings: readonly (readonly [file: string, value: string])[]
}

function settingsV1(name: LimitName, record: LimitedSandbox, maxProcesses: number): Group['settings'] {
  const bytes = String(record.shape.memoryMiB * 1024 * 1024)
  switch (name) {
    case 'cpu':
      return [
        ['cpu.cfs_period_us', String(schedulerPeriodUs)],
        ['cpu.cfs_quota_us', String(Math.max(1000, Math.round(record.shape.cpu * schedulerPeriodUs)))],
      ]
    case 'memory':
      return [['memory.limit_in_bytes', bytes]]
    case 'processes':
      return [['pids.max', String(maxProcesses)]]
  }
}

function settingsV2(name: LimitName, record: LimitedSandbox, maxProcesses: number): Group['settings'] {
  switch (name) {
    case 'cpu':
      return [['cpu.max', `${Math.max(1000, Math.round(record.shape.cpu * schedulerPeriodUs))} ${schedulerPeriodUs}`]]
    case 'memory':
      return [['memory.max', String(record.shape.memoryMiB * 1024 * 1024)]]
    case 'processes':
      return [['pids.max', String(maxProcesses)]]
  }
}

function groupsOf(groups: Cgroups, record: LimitedSandbox, maxProcesses: number): readonly Group[] {
  const wanted: Group[] = []
  const inV2: LimitName[] = []
  for (const name of limitNames) {
    const v1 = groups.v1[name]
    if (v1 !== undefined) wanted.push({ path: `${v1}/${parentGroup}/${record.account}`, settings: settingsV1(name, record, maxProcesses) })
    else if (groups.v2Controllers.includes(controllerOf[name])) inV2.push(name)
  }
  // The v2 group is made even without controllers: cgroup.kill ends everything in it at once.
  if (groups.v2 !== null) {
    const settings = inV2.flatMap((name) => [...settingsV2(name, record, maxProcesses)])
    wanted.push({ path: `${groups.v2}/${parentGroup}/${record.account}`, settings })
  }
  return wanted
}

/** Swap would let a job hold more than it was given, where the kernel counts it. */
const swapSettings = [
  ['memory.memsw.limit_in_bytes', (record: LimitedSandbox) => String(record.shape.memoryMiB * 1024 * 1024)],
  ['memory.swap.max', () => '0'],
] as const

function enableV2(groups: Cgroups): void {
  if (groups.v2 === null || groups.v2Controllers.length === 0) return
  const wanted = limitNames.map((name) => controllerOf[name]).filter((controller) => groups.v2Controllers.includes(controller))
  for (const directory of [groups.v2, `${groups.v2}/${parentGroup}`]) {
    writeFileSync(`${directory}/cgroup.subtree_control`, wanted.map((controller) => `+${controller}`).join(' '))
  }
}

/**
 * Makes the sandbox's groups with its limits and returns the files that a process writes itself into to be in them. Throws what the
 * kernel said when a limit cannot be set.
 */
export function makeGroups(groups: Cgroups, record: LimitedSandbox, maxProcesses: number): readonly string[] {
  const wanted = groupsOf(groups, record, maxProcesses)
  for (const { path } of wanted) mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
  enableV2(groups)
  for (const { path, settings } of wanted) {
    mkdirSync(path, { recursive: true })
    for (const [file, value] of settings) writeFileSync(`${path}/${file}`, value)
    for (const [file, value] of swapSettings) {
      if (settings.some(([name]) => name.startsWith('memory.')) && existsSync(`${path}/${file}`))
        writeFileSync(`${path}/${file}`, value(record))
    }
  }
  return entryFiles(groups, record)
}

/** Limits that really can be set: makes groups for nobody, and removes them. */
export async function tryLimits(groups: Cgroups): Promise<readonly LimitName[]> {
  const account = `.trial-${process.pid}`
  const shape = { cpu: 1, memoryMiB: 64, diskMiB: 0 }
  try {
    makeGroups(groups, { account, shape }, 64)
    return enforceable(groups)
  } catch {
    // A container may show the tree and forbid to grow it.
    return []
  } finally {
    await removeGroups(groups, account)
  }
}

/** Files that a process writes its pid into to be limited with this sandbox. */
export function entryFiles(groups: Cgroups, record: LimitedSandbox): readonly string[] {
  return groupsOf(groups, record, 1).map(({ path }) => `${path}/cgroup.procs`)
}

/** Kills everything in the sandbox's v2 group at once, where the kernel can. */
export function killGroup(groups: Cgroups, account: string): void {
  if (groups.v2 === null) return
  try {
    writeFileSync(`${groups.v2}/${parentGroup}/${account}/cgroup.kill`, '1')
  } catch {
    // No such group, or a kernel before 5.14: the process scan kills what is left.
  }
}

function groupPaths(groups: Cgroups, account: string): readonly string[] {
  const roots = new Set([...Object.values(groups.v1), ...(groups.v2 === null ? [] : [groups.v2])])
  return [...roots].map((root) => `${root}/${parentGroup}/${account}`)
}

/** Groups of this account that still exist. */
export function remainingGroups(groups: Cgroups, account: string): readonly string[] {
  return groupPaths(groups, account).filter((path) => existsSync(path))
}

function removeGroup(path: string): boolean {
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Removes the sandbox's groups; a group whose last process just died is busy for a moment. The shared parent goes with the last one. */
export async function removeGroups(groups: Cgroups, account: string): Promise<void> {
  for (const path of groupPaths(groups, account)) {
    await waitUntil(() => removeGroup(path), 2000)
    removeGroup(path.slice(0, path.lastIndexOf('/')))
  }
}
