import { execFile } from 'node:child_process'
import { freemem } from 'node:os'
import { promisify } from 'node:util'
import type { HostProbe } from '../../../ports/agent.ts'
import { machineFacts } from '../machine.ts'

const run = promisify(execFile)

/** Runs a system program; an empty text when it fails or takes longer than 5 s. */
export type Ask = (program: string, ...words: string[]) => Promise<string>

async function ask(program: string, ...words: string[]): Promise<string> {
  try {
    return (
      await run(program, words, { encoding: 'utf8', timeout: 5000, env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' } })
    ).stdout.trim()
  } catch {
    // What it would say is then unknown; the rest is still told.
    return ''
  }
}

/** Above this share of the kernel's limit of TCP control blocks new connections begin to fail. */
const socketShare = 0.8

/** Looks at a Mac through its own tools. `folder` is on the disk that jobs fill. */
export function macosProbe(folder: string, asking: Ask = ask): HostProbe {
  return {
    bootId: async () => (await asking('/usr/sbin/sysctl', '-n', 'kern.bootsessionuuid')) || 'unknown',
    async facts() {
      const [version, build, memory, interfaces, sockets] = await Promise.all([
        asking('/usr/bin/sw_vers', '-productVersion'),
        asking('/usr/bin/sw_vers', '-buildVersion'),
        asking('/usr/bin/vm_stat'),
        asking('/usr/sbin/netstat', '-ibn'),
        asking('/usr/sbin/sysctl', '-n', 'net.inet.tcp.pcbcount', 'kern.ipc.maxsockets'),
      ])
      const { count, problems } = socketsOf(sockets)
      const osVersion = `macOS ${version} (${build})`
      return machineFacts(folder, {
        os: 'macos',
        osVersion,
        memoryFreeBytes: memoryFree(memory) ?? freemem(),
        network: trafficOf(interfaces),
        tcpSockets: count,
        problems,
      })
    },
  }
}

/** Bytes that are free, speculative, purgeable or cached files, by `vm_stat`. */
export function memoryFree(vmStat: string): number | null {
  const page = Number(/page size of (\d+) bytes/.exec(vmStat)?.[1])
  if (Number.isNaN(page)) return null
  let pages = 0
  for (const name of ['Pages free', 'Pages speculative', 'Pages purgeable', 'File-backed pages']) {
    pages += Number(new RegExp(`^"?${name}"?:\\s+(\\d+)`, 'm').exec(vmStat)?.[1] ?? 0)
  }
  return pages * page
}

/** Bytes in and out by `netstat -ibn`: one line per interface counts, the one of its link address. */
export function trafficOf(netstat: string): { readonly rxBytes: number; readonly txBytes: number } {
  let rxBytes = 0
  let txBytes = 0
  for (const line of netstat.split('\n')) {
    const fields = line.trim().split(/\s+/)
    const [name = '', , network = ''] = fields
    if (!network.startsWith('<Link#') || name.startsWith('lo')) continue
    // The link address may be missing, so fields are counted from the end: Ipkts Ierrs Ibytes Opkts Oerrs Obytes Coll.
    rxBytes += Number(fields.at(-5) ?? 0)
    txBytes += Number(fields.at(-2) ?? 0)
  }
  return { rxBytes, txBytes }
}

/** `sysctl -n net.inet.tcp.pcbcount kern.ipc.maxsockets`. */
export function socketsOf(sysctl: string): { readonly count: number | null; readonly problems: readonly string[] } {
  const [count, limit] = sysctl.split(/\s+/).map(Number)
  if (count === undefined || Number.isNaN(count) || sysctl === '') return { count: null, problems: [] }
  const full = limit !== undefined && limit > 0 && count > limit * socketShare
  return { count, problems: full ? [`${count} of ${limit} TCP sockets are held by the kernel: reboot the host to free them`] : [] }
}
