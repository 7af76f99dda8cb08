import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { RuntimeFailure } from './failures.ts'
import { holdingFlock } from './flock.ts'
import { profile } from './profile.ts'

/** What all Tarts of one Mac share, whatever their TART_HOME: the kernel's count of guests, the lease file, the disk's room. */
const directory = process.env['TART_FAKE_HOST'] ?? '/tmp/tart-fake-host'

export function hostFile(name: string): string {
  mkdirSync(directory, { recursive: true })
  return `${directory}/${name}`
}

/** The real file is /var/db/dhcpd_leases. */
export const leaseFile = (): string => process.env['TART_FAKE_LEASES'] ?? hostFile('dhcpd_leases')

export function underHostLock<T>(work: () => T): Promise<T> {
  return holdingFlock(hostFile('lock'), work)
}

/** One macOS guest that the kernel counts. */
interface Slot {
  /** The process of the virtualization framework: it, not Tart, holds the guest. */
  readonly pid: number
  readonly startTime: string
  /** The kernel goes on counting it when it is gone. */
  readonly leaks: boolean
}

const slotLimit = 2

/** Start time of a process in clock ticks since boot, or null when it is not there. */
export function startTimeOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
  } catch {
    // It is gone.
    return null
  }
}

function readSlots(): readonly Slot[] {
  const path = hostFile('slots.json')
  const slots = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Slot[]) : []
  return slots.filter(({ leaks, pid, startTime }) => leaks || startTimeOf(pid) === startTime)
}

function writeSlots(slots: readonly Slot[]): void {
  const path = hostFile('slots.json')
  writeFileSync(`${path}.part`, JSON.stringify(slots))
  renameSync(`${path}.part`, path)
}

/** Counts a macOS guest, or throws what Tart says when the kernel refuses a third. `others` are the machines that Tart knows to run. */
export function takeSlot(pid: number, options: { readonly leaks: boolean; readonly others: readonly string[] }): Promise<void> {
  return underHostLock(() => {
    const slots = readSlots()
    if (slots.length >= slotLimit) throw limitExceeded(options.others)
    writeSlots([...slots, { pid, startTime: startTimeOf(pid) ?? '', leaks: options.leaks }])
  })
}

export function limitExceeded(others: readonly string[]): RuntimeFailure {
  if (!profile.namesNeighbours) {
    return new RuntimeFailure(
      'Error Domain=VZErrorDomain Code=6 "The number of virtual machines exceeds the limit." UserInfo={NSLocalizedFailure=The number of virtual machines exceeds the limit., NSLocalizedFailureReason=The maximum supported number of active virtual machines has been reached.}',
    )
  }
  const hint = others.length === 0 ? '' : ` (other running VMs: ${others.join(', ')})`
  return new RuntimeFailure(`The number of VMs exceeds the system limit${hint}`)
}

/** Room on the disk in bytes, as a test sets it; without a word of it there is plenty. */
export function freeBytes(): number {
  const path = hostFile('free-bytes')
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : Number.MAX_SAFE_INTEGER
}

export function addFreeBytes(bytes: number): void {
  const free = freeBytes()
  if (free !== Number.MAX_SAFE_INTEGER) writeFileSync(hostFile('free-bytes'), String(free + bytes))
}

/** A number from 2 to 254 that no lease has: the last part of a new guest's address. */
export function netPrefix(): string {
  return process.env['TART_FAKE_NET'] ?? '192.168.64'
}

/** Adds the host's end of a guest's wire; the guest's end is `en0` in its network. Gone with the guest. */
export function wire(pid: number, { address, mac }: { readonly address: string; readonly mac: string }): void {
  const name = `tf${pid.toString(36)}`
  const gateway = `${netPrefix()}.1`
  const ip = (words: string): void => void execFileSync('ip', words.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] })
  ip(`link add ${name} type veth peer name en0 address ${mac} netns ${pid}`)
  ip(`addr add ${gateway}/32 dev ${name}`)
  ip(`link set ${name} up`)
  ip(`route append ${address}/32 dev ${name} src ${gateway}`)
}

/** What a restart of the Mac does: every guest ends, the kernel's count is right again, it is another boot. */
export function restartHost(): void {
  for (const { pid } of readSlots()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // A slot that leaked has no process.
    }
  }
  rmSync(hostFile('slots.json'), { force: true })
  writeFileSync(hostFile('boot-id'), `${Date.now()}-${Math.random()}`)
}
