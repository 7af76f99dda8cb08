import { fixedRelease } from '../../src/drivers/releases/fixed-release.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { HostProbe, MachineFacts } from '../../src/ports/agent.ts'
import type { SourceMirrors } from '../../src/ports/mirrors.ts'
import type { Processes, StartedProcess } from '../../src/ports/processes.ts'

export interface FakeHost {
  readonly probe: HostProbe
  facts: MachineFacts
  bootId: string
}

/** A machine that says what a test tells it to. */
export function fakeHost(): FakeHost {
  const host: FakeHost = {
    bootId: 'boot-1',
    facts: {
      hostname: 'mini-1',
      os: 'linux',
      osVersion: 'test',
      arch: 'x64',
      capacity: { cpu: 8, memoryMiB: 16_384, diskMiB: 100_000 },
      free: { cpu: 8, memoryMiB: 12_000, diskMiB: 80_000 },
      load1: 0.5,
      diskUsed: 0.2,
      memoryFree: 0.7,
      network: { addresses: ['10.0.0.2'], rxBytes: 0, txBytes: 0 },
      problems: [],
      tcpSockets: 10,
    },
    probe: { bootId: () => Promise.resolve(host.bootId), facts: () => Promise.resolve(host.facts) },
  }
  return host
}

/** Processes that do nothing and end well. */
export function idleProcesses(): Processes {
  async function* nothing(): AsyncGenerator<Uint8Array> {
    // No output.
  }
  const started: StartedProcess = {
    pid: 1,
    output: nothing(),
    ended: Promise.resolve({ code: 0, signal: null }),
    errorTail: () => '',
    write: () => Promise.resolve(),
    closeInput: () => undefined,
    stop: () => Promise.resolve(),
  }
  return { start: () => Promise.resolve({ ...started, output: nothing() }) }
}

export const noMirrors: SourceMirrors = { open: (url) => Promise.reject(new CideryError('NOT_FOUND', `no repository ${url}`)) }

/** The program of an agent that runs from a checkout. */
export const testRelease = fixedRelease(
  { commit: null, path: '/checkout', sha256: null, operation: null },
  'this agent is not from a release',
)
