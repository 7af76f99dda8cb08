import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { CideryError } from '../../../../model/errors.ts'
import { helperEnvironment, program } from '../../commands.ts'
import { bootId, processesWithWords, statOf } from '../../process-table.ts'
import type { ProcessEntry } from '../../process-table.ts'
import type { Holder } from '../../records.ts'
import { holderScript } from './scripts.ts'

/** Word by which a holder is known in the process table; the sandbox's place follows it. */
const holderWord = 'cidery-sandbox'

/** Directories whose mounts the sandbox replaces with its own. */
const replaced = ['/proc', '/dev', '/run', '/tmp', '/var/tmp'] as const

/** Kernel file systems: nothing of theirs can be written without being root, and remounting them fails or changes the host's. */
const kernelFileSystems = new Set(
  'proc sysfs cgroup cgroup2 devpts devtmpfs mqueue securityfs debugfs tracefs bpf fusectl configfs pstore autofs binfmt_misc efivarfs selinuxfs nsfs rpc_pipefs'.split(
    ' ',
  ),
)

const keptOptions = new Set(['nosuid', 'nodev', 'noexec', 'relatime', 'noatime', 'nodiratime', 'strictatime'])

export interface MountPoint {
  readonly path: string
  readonly options: string
}

/** From the text of /proc/self/mountinfo: mounts that a job could write to and that are made read-only inside, with the flags they keep. */
export function writableMounts(mountinfo: string, homeRoot: string): readonly MountPoint[] {
  const covered = [...replaced, homeRoot]
  const mounts = new Map<string, string>()
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , , rawPath = '', flags = ''] = left.split(' ')
    const path = rawPath.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)))
    // The last mount on a path is the one that is seen.
    mounts.delete(path)
    if (kernelFileSystems.has(right.split(' ')[0] ?? '') || flags.split(',').includes('ro')) continue
    if (path === '' || covered.some((root) => path === root || path.startsWith(`${root}/`))) continue
    mounts.set(
      path,
      flags
        .split(',')
        .filter((flag) => keptOptions.has(flag))
        .join(',') || 'defaults',
    )
  }
  return [...mounts].map(([path, options]) => ({ path, options }))
}

/** Processes that hold the namespaces of the sandbox at this place, also those that no record speaks of (a crash while booting). */
export function holdersOf(placeDirectory: string): readonly ProcessEntry[] {
  return processesWithWords(holderWord, placeDirectory)
}

export interface HolderRequest {
  readonly placeDirectory: string
  readonly image: string | null
  readonly home: string
  readonly homeRoot: string
  readonly uid: number
  readonly sharedMemoryMiB: number
  readonly resolvConf: string
  readonly resolvConfPath: string
  readonly hiddenDirs: readonly string[]
  readonly ownNetwork: boolean
  /** Directory of the host that is shown inside, with every link followed. */
  readonly mount: string | null
}

function holderWords(request: HolderRequest): readonly string[] {
  const mounts = writableMounts(readFileSync('/proc/self/mountinfo', 'utf8'), request.homeRoot)
  return [
    request.placeDirectory,
    request.image ?? '',
    request.home,
    request.homeRoot,
    String(request.uid),
    String(request.sharedMemoryMiB),
    request.resolvConf,
    request.resolvConfPath,
    ...mounts.flatMap(({ path, options }) => ['ro', options, path]),
    ...request.hiddenDirs.flatMap((directory) => ['hide', directory]),
    ...(request.mount === null ? [] : ['show', request.mount]),
  ]
}

/** Splits `ready <pid> <what could not be made read-only>`. */
function readReady(text: string): { readonly pid: number; readonly weak: string } | null {
  const match = /^ready (\d+)(.*)\n/.exec(text)
  return match === null ? null : { pid: Number(match[1]), weak: (match[2] ?? '').trim() }
}

/**
 * Starts the process that holds a sandbox's namespaces; it outlives this process. Resolves when its file system view is complete;
 * ENGINE_FAILED with what it complained about, or after 20 s.
 */
export function startHolder(request: HolderRequest): Promise<{ readonly holder: Holder; readonly weak: string }> {
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', ...(request.ownNetwork ? ['--net'] : [])]
  const words = [
    '--fork',
    '--kill-child',
    '--propagation',
    'slave',
    ...namespaces,
    '/bin/sh',
    '-c',
    holderScript,
    holderWord,
    ...holderWords(request),
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(program('unshare'), words, { env: helperEnvironment, cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let complaint = ''
    const deadline = setTimeout(() => fail('did not answer within 20 s'), 20_000)
    function settle(): void {
      clearTimeout(deadline)
      child.stdout.destroy()
      child.stderr.destroy()
      child.removeAllListeners()
      child.unref()
    }
    function fail(reason: string): void {
      settle()
      child.kill('SIGKILL')
      reject(new CideryError('ENGINE_FAILED', `the sandbox could not be booted: ${reason}`))
    }
    child.stderr.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString('utf8')}`.slice(-500)))
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
      const ready = readReady(output)
      if (ready === null) return
      const stat = statOf(ready.pid)
      if (stat === null) return fail('it ended at once')
      settle()
      resolve({ holder: { pid: ready.pid, startTime: stat.startTime, bootId: bootId() }, weak: ready.weak })
    })
    child.once('error', (error) => fail(error.message))
    child.once('close', () => fail(complaint.trim().split('\n').at(-1) ?? 'no reason given'))
  })
}
