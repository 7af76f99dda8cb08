import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { leftOf, ownSettings, removeSettings } from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

interface Lab {
  readonly networks: readonly string[]
  readonly address: string
  readonly nat: Readonly<Record<string, boolean>>
  readonly none: Readonly<Record<string, boolean>>
  readonly host: Readonly<Record<string, boolean>>
  readonly hostToJob: boolean
  readonly hostToPublic: boolean
  readonly notesOfHost: readonly string[]
  readonly rulesInside: string
  readonly forwardingDuring: string
  readonly forwardingAfter: string
  readonly tablesAfter: string
  readonly sweep: { readonly failures: readonly string[] }
}

describe('the network of a sandbox', () => {
  const settings = ownSettings()
  const temporary = mkdtempSync('/tmp/cidery-lab-')
  let lab: Lab

  beforeAll(async () => {
    // The lab is a machine of its own: resolv.conf and /run (which remembers that forwarding was turned on) are not this one's.
    const script = `touch ${temporary}/resolv.conf && mount --bind ${temporary}/resolv.conf /etc/resolv.conf && mount -t tmpfs tmpfs /run && exec "$@"`
    const words = [
      '--net',
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'lab',
      process.execPath,
      fileURLToPath(new URL('./support/network-lab.ts', import.meta.url)),
      JSON.stringify(settings),
    ]
    const child = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 100_000, killSignal: 'SIGKILL' })
    let output = ''
    let complaint = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString('utf8')))
    await new Promise((resolve) => child.once('close', resolve))
    expect(complaint).toBe('')
    lab = JSON.parse(output) as Lab
  })

  afterAll(async () => {
    await makeUserEngine(settings).sweep(new Set())
    await eventually(() => expect(leftOf(settings)).toEqual([]))
    rmSync(temporary, { recursive: true })
    removeSettings(settings)
  })

  it('nat reaches the world by address and by name', () => {
    expect(lab.networks).toEqual(['nat', 'host', 'none'])
    expect(lab.nat).toMatchObject({ public: true, publicByName: true, ownLoopback: true })
  })

  it('nat reaches no other job, and each job’s network is what is declared [001-38]', () => {
    expect(lab.nat['anotherJob']).toBe(false)
    expect(lab.none['anotherJob']).toBe(false)
    // The other job does serve there: it reaches itself. Shared with the host is what says so in its notes.
    expect(lab.nat['ownLoopback']).toBe(true)
    expect(lab.notesOfHost.join()).toContain('the network of the host is shared')
    expect(lab.host).toMatchObject({ hostLoopback: true, hostUplink: true })
  })

  it('nat reaches neither the host nor its loopback, by whatever address', () => {
    expect(lab.nat).toMatchObject({ hostLoopback: false, hostUplink: false, hostEndOfAnothersLink: false })
  })

  it('nat does not reach the controller, on its port or as a whole, as it was asked', () => {
    expect(lab.nat).toMatchObject({ controllerPort: false, controllerOtherPort: true, blockedWhole: false })
  })

  it('nat does not reach the metadata addresses of clouds, which the host does reach', () => {
    expect(lab.hostToPublic).toBe(true)
    expect(lab.nat).toMatchObject({ metadata: false, azure: false })
  })

  it('none has its loopback and nothing else', () => {
    expect(Object.entries(lab.none).filter(([, reached]) => reached)).toEqual([['ownLoopback', true]])
  })

  it('is taken back with the last sandbox: no table, no forwarding that was not there', () => {
    expect(lab).toMatchObject({ forwardingDuring: '1', forwardingAfter: '0', tablesAfter: '' })
  })

  it('lets nothing in, and lets no job change its rules', () => {
    expect(lab.hostToJob).toBe(false)
    expect(lab.rulesInside).toBe('2')
    expect(lab.sweep.failures).toEqual([])
  })
})
