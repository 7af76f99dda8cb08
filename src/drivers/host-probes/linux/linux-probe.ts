import { readFile } from 'node:fs/promises'
import { freemem, release } from 'node:os'
import type { HostProbe } from '../../../ports/agent.ts'
import { machineFacts } from '../machine.ts'

/** Looks at a Linux machine through /proc. `folder` is on the disk that jobs fill. */
export function linuxProbe(folder: string): HostProbe {
  return {
    bootId: async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    async facts() {
      const [meminfo, interfaces, sockets, osRelease] = await Promise.all(
        ['/proc/meminfo', '/proc/net/dev', '/proc/net/sockstat', '/etc/os-release'].map(readOrEmpty),
      )
      return machineFacts(folder, {
        os: 'linux',
        osVersion: `${osName(osRelease ?? '')} (${release()})`,
        memoryFreeBytes: memoryAvailable(meminfo ?? '') ?? freemem(),
        network: trafficOf(interfaces ?? ''),
        tcpSockets: tcpSocketsOf(sockets ?? ''),
        problems: [],
      })
    },
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // A hardened or small system may lack it: what it would say is then unknown.
    return ''
  }
}

/** `MemAvailable` in bytes. */
export function memoryAvailable(meminfo: string): number | null {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1]
  return kibibytes === undefined ? null : Number(kibibytes) * 1024
}

/** Bytes in and out over all interfaces but loopback. */
export function trafficOf(interfaces: string): { readonly rxBytes: number; readonly txBytes: number } {
  let rxBytes = 0
  let txBytes = 0
  for (const [, name, numbers = ''] of interfaces.matchAll(/^\s*([^:\s]+):\s*(.*)$/gm)) {
    if (name === 'lo') continue
    const fields = numbers.trim().split(/\s+/).map(Number)
    rxBytes += fields[0] ?? 0
    txBytes += fields[8] ?? 0
  }
  return { rxBytes, txBytes }
}

/** TCP sockets that the kernel has memory for, those without a process included. */
export function tcpSocketsOf(sockstat: string): number | null {
  const allocated = /^TCP: .*\balloc (\d+)/m.exec(sockstat)?.[1]
  return allocated === undefined ? null : Number(allocated)
}

export function osName(osRelease: string): string {
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux'
}
