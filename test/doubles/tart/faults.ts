import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { RuntimeFailure } from './failures.ts'

/** What a machine does wrong once it runs, or a command does besides failing. */
export const effects = [
  /** The guest gets no lease. */
  'noLease',
  /** Its lease names an address that another guest has. */
  'duplicateLease',
  /** Its lease ended long ago. */
  'expiredLease',
  /** The lease file cannot be read from now on. */
  'malformedLeases',
  /** There is no guest agent. */
  'noAgent',
  /** The guest does not answer any more; it runs on. */
  'freeze',
  /** SIGINT is not listened to: only KILL ends it. */
  'ignoreStop',
  /** The guest does not go down when it is asked. */
  'ignoreRequestStop',
  /** The kernel goes on counting the guest when it is gone. */
  'leakSlot',
  /** Suspending fails. */
  'failSuspend',
] as const
export type Effect = (typeof effects)[number]

/** One thing that goes wrong, as TART_FAKE_FAULTS lists them. */
export interface Fault {
  readonly command: string
  /** Only for this machine; a `*` at the end stands for anything. */
  readonly vm?: string
  /** Only the n-th matching call, counted from 1; default: every one. */
  readonly call?: number
  readonly delayMs?: number
  /** Ends with this instead of working. */
  readonly exit?: number
  readonly stderr?: string
  readonly stdout?: string
  /** The guest is there for so long, then ends as `exit` and `stderr` say (`run` only). */
  readonly afterMs?: number
  readonly effects?: readonly Effect[]
}

function readFaults(): readonly Fault[] {
  const path = process.env['TART_FAKE_FAULTS']
  return path === undefined ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Fault[])
}

/** Counts a call across processes; the first is 1. */
function nextCall(key: string): number {
  const directory = `${process.env['TART_FAKE_FAULTS'] ?? ''}.calls`
  mkdirSync(directory, { recursive: true })
  for (let call = 1; ; call += 1) {
    try {
      closeSync(openSync(`${directory}/${key.replaceAll(/[^\w.-]/g, '_')}.${call}`, 'wx'))
      return call
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

function isFor(fault: Fault, command: string, vm: string): boolean {
  if (fault.command !== command) return false
  if (fault.vm === undefined) return true
  return fault.vm.endsWith('*') ? vm.startsWith(fault.vm.slice(0, -1)) : fault.vm === vm
}

/** The faults that befall this call. Asked once per call, as it counts. */
export function faultsOf(command: string, vm: string): readonly Fault[] {
  return readFaults().filter((fault, index) => {
    if (!isFor(fault, command, vm)) return false
    return fault.call === undefined || nextCall(`${index}.${command}`) === fault.call
  })
}

/** Waits and fails as the faults of a call say; what has `afterMs` is the machine's own, later. */
export async function suffer(faults: readonly Fault[]): Promise<void> {
  for (const { delayMs, exit, stderr, stdout, afterMs } of faults) {
    if (delayMs !== undefined) await sleep(delayMs)
    if (exit === undefined || afterMs !== undefined) continue
    if (stdout !== undefined) console.log(stdout)
    throw new RuntimeFailure(stderr ?? '', exit)
  }
}

export function hasEffect(faults: readonly Fault[], effect: Effect): boolean {
  return faults.some((fault) => fault.effects?.includes(effect))
}
