import { statfs } from 'node:fs/promises'
import { availableParallelism, arch, hostname, loadavg, networkInterfaces, totalmem } from 'node:os'
import { CideryError } from '../../model/errors.ts'
import type { HostFacts } from '../../model/host.ts'
import type { MachineFacts } from '../../ports/agent.ts'

const mebibyte = 1024 ** 2

export interface MachineReading {
  readonly os: HostFacts['os']
  readonly osVersion: string
  /** Memory that a new process could get without swapping. */
  readonly memoryFreeBytes: number
  readonly network: { readonly rxBytes: number; readonly txBytes: number }
  readonly tcpSockets: number | null
  readonly problems: readonly string[]
}

/** Facts that every system tells alike, with what its own probe read. `folder` is on the disk that jobs fill. */
export async function machineFacts(folder: string, reading: MachineReading): Promise<MachineFacts> {
  const { os, osVersion, memoryFreeBytes, network, tcpSockets, problems } = reading
  const disk = await statfs(folder)
  const cpu = availableParallelism()
  const [load1 = 0] = loadavg()
  const diskTotal = disk.blocks * disk.bsize
  const diskFree = disk.bavail * disk.bsize
  return {
    hostname: hostname(),
    os,
    osVersion,
    arch: machineArch(),
    capacity: { cpu, memoryMiB: atLeastOne(totalmem() / mebibyte), diskMiB: Math.floor(diskTotal / mebibyte) },
    // A shape has no zeros; a hundredth of a CPU is none.
    free: { cpu: Math.max(0.01, cpu - load1), memoryMiB: atLeastOne(memoryFreeBytes / mebibyte), diskMiB: Math.floor(diskFree / mebibyte) },
    load1,
    diskUsed: diskTotal === 0 ? 0 : clamp(1 - diskFree / diskTotal),
    memoryFree: clamp(memoryFreeBytes / totalmem()),
    network: { addresses: addresses(), ...network },
    tcpSockets,
    problems: [...problems],
  }
}

export function machineArch(): HostFacts['arch'] {
  const found = arch()
  if (found === 'x64' || found === 'arm64') return found
  throw new CideryError('UNSUPPORTED', `cidery does not run on ${found}`)
}

function atLeastOne(value: number): number {
  return Math.max(1, Math.floor(value))
}

function clamp(fraction: number): number {
  return Math.min(1, Math.max(0, fraction))
}

function addresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address)
    .toSorted()
}
