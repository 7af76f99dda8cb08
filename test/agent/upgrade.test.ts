import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JobView, OperationView } from '../../src/model/api.ts'
import type { AgentRelease } from '../../src/model/release.ts'
import { runCidery } from '../e2e/processes.ts'
import { KeptAgent } from './kept-agent.ts'
import { until as untilWithin } from './real-agent.ts'
import { ReleaseWorkshop, type PackedRelease } from './release-workshop.ts'
import { WithController } from './with-controller.ts'

const user = { prefix: 'tu-', uidRange: [676_000, 676_999], netRange: '198.19.244.0/24' }
/** Six processes start one after the other in each of these tests. */
const limitMs = 300_000
const until: typeof untilWithin = (condition) => untilWithin(condition, 90_000)
const workshop = new ReleaseWorkshop()
let old: PackedRelease
let next: PackedRelease

beforeAll(async () => {
  await workshop.open()
  old = await workshop.pack({ version: '1.0.0' })
  next = await workshop.pack({ version: '2.0.0' })
})

afterAll(() => workshop.close())

interface Seen {
  readonly name: string
  readonly state: string
  readonly facts: { readonly agentVersion: string; readonly agentRelease?: AgentRelease } | null
}

describe('an upgrade of the agent', { timeout: limitMs }, () => {
  const both = new WithController()
  let kept: KeptAgent
  let stateDir: string

  beforeEach(async () => {
    stateDir = join(both.folder, 'agent')
    await mkdir(stateDir, { mode: 0o700 })
    await writeFile(join(stateDir, 'agent.yaml'), JSON.stringify({ engines: { user } }), { mode: 0o600 })
    await workshop.install(old, stateDir)
    const enrolling = await both.run({ bootProbes: false, engines: { user } })
    await enrolling.stop()
    kept = new KeptAgent(stateDir)
    await until(async () => (await host())?.facts?.agentVersion === '1.0.0')
  })

  // Before the controller goes: an agent that is told to stop should not wait for it.
  afterEach(async ({ task }) => {
    await kept.stop()
    if (task.result?.state === 'fail') console.log(kept.output)
  })

  async function host(): Promise<Seen | undefined> {
    return (await both.api<{ readonly items: readonly Seen[] }>('GET', '/hosts')).items[0]
  }

  async function upgrade(
    release: PackedRelease,
    ...words: string[]
  ): Promise<{ readonly code: number | null; readonly operation: OperationView }> {
    const name = (await host())?.name ?? ''
    const { code, stdout, stderr } = await runCidery(['agent', 'upgrade', name, '--from', release.archive, '--output', 'json', ...words], {
      env: { CIDERY_URL: both.controller.url, CIDERY_TOKEN: both.token },
      deadlineMs: 250_000,
    })
    if (code === 2 || stdout.length === 0) throw new Error(stderr)
    const [operation] = (JSON.parse(stdout.toString()) as { readonly items: readonly OperationView[] }).items
    if (operation === undefined) throw new Error(stderr)
    return { code, operation }
  }

  function releases(): Promise<readonly string[]> {
    return readdir(join(stateDir, 'releases')).then((names) => names.filter((name) => !name.endsWith('.json')).toSorted())
  }

  function folderOf(version: string, { release }: PackedRelease): string {
    return `${version}-${release.slice(0, 16)}`
  }

  /** The host is up, with this version, and nobody ever spoke beside its agent. */
  async function runs(version: string): Promise<Seen> {
    const seen = await until(async () => {
      const now = await host()
      return now?.state === 'up' && now.facts?.agentVersion === version ? now : undefined
    })
    expect(both.log.lines.filter(({ message }) => message.includes('a second agent speaks'))).toEqual([])
    expect((await both.hostsOf()).length).toBe(1)
    return seen
  }

  it('succeeds when the new one is in sync, and its job does not notice; the service starts it by the path that it had [003-14] [003-18] [003-36]', async () => {
    const script = 'i=0; while [ $i -lt 150 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 4'
    const { id } = await both.api<JobView>('POST', '/jobs', { script })
    await until(async () => (await both.api<JobView>('GET', `/jobs/${id}`)).state === 'running')
    const main = kept.pid
    const { code, operation } = await upgrade(next)
    expect([code, operation.state, operation.reason]).toEqual([0, 'SUCCESS', expect.stringMatching(/^done|runs 2\.0\.0/)])
    const seen = await runs('2.0.0')
    const path = join(stateDir, 'releases', folderOf('2.0.0', next))
    expect(seen.facts?.agentRelease).toEqual({ commit: next.commit, path, sha256: next.release, operation: operation.id })
    // The same process to the service manager, which started nothing.
    expect([kept.pid, kept.starts]).toEqual([main, 1])
    expect(
      await until(() =>
        readFile(`/proc/${main}/cmdline`, 'utf8').then((text) => text.split('\0').includes(join(stateDir, 'current/bin/cidery.js'))),
      ),
    ).toBe(true)
    await until(() => kept.trialPid === null)
    const job = await both.ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 4 })
    expect(job.attempts).toHaveLength(1)
    expect(await both.logOf(id)).toBe(Array.from({ length: 150 }, (_, line) => `line ${line}\n`).join(''))
    expect(await releases()).toEqual([folderOf('1.0.0', old), folderOf('2.0.0', next)])
    kept.kill()
    await until(() => kept.starts === 2)
    await runs('2.0.0')
  })

  it('keeps the release that a running job was started by, and drops it when nothing needs it', async () => {
    const { id } = await both.api<JobView>('POST', '/jobs', { script: 'while [ ! -e "$TMPDIR/end" ]; do sleep 0.1; done', timeoutS: 100 })
    await until(async () => (await both.api<JobView>('GET', `/jobs/${id}`)).state === 'running')
    const third = await workshop.pack({ version: '3.0.0' })
    expect((await upgrade(next)).operation.state).toBe('SUCCESS')
    expect((await upgrade(third)).operation.state).toBe('SUCCESS')
    expect(await releases()).toEqual([folderOf('1.0.0', old), folderOf('2.0.0', next), folderOf('3.0.0', third)])
    await both.api('POST', `/jobs/${id}/cancel`, {})
    await both.ended(id)
    expect((await upgrade(next, '--allow-downgrade')).operation.state).toBe('SUCCESS')
    expect(await releases()).toEqual([folderOf('2.0.0', next), folderOf('3.0.0', third)])
  })

  it('to what runs already ends as a stale binary, with its commit, path and SHA-256 [003-37]', async () => {
    const { code, operation } = await upgrade(old)
    const path = join(stateDir, 'releases', folderOf('1.0.0', old))
    expect([code, operation.state, operation.reason]).toEqual([
      1,
      'STALE_BINARY',
      `stale_binary: the program did not change; commit ${old.commit}, path ${path}, SHA-256 ${old.release}`,
    ])
    expect(kept.output).toContain('stale_binary')
    await runs('1.0.0')
  })

  it('to an older one is refused, unless asked for', async () => {
    const older = await workshop.pack({ version: '0.9.0' })
    const refused = await upgrade(older)
    expect([refused.code, refused.operation.state]).toEqual([1, 'ERROR'])
    expect(refused.operation.reason).toBe('0.9.0 is older than 1.0.0, which runs here: --allow-downgrade puts it in place all the same')
    expect((await upgrade(older, '--allow-downgrade')).operation.state).toBe('SUCCESS')
    await runs('0.9.0')
  })

  it('goes no further when a byte of the archive is not what its manifest says', async () => {
    const bytes = await readFile(next.archive)
    // In the middle of the compressed stream: found by gzip or by a digest, and before anything is started.
    const at = Math.floor(bytes.length / 2)
    bytes[at] = (bytes[at] ?? 0) ^ 0xff
    const archive = join(both.folder, 'damaged.tar.gz')
    await writeFile(archive, bytes)
    const { code, operation } = await upgrade({ ...next, archive })
    expect([code, operation.state, operation.reason]).toEqual([1, 'ERROR', expect.stringContaining('the archive is not sound')])
    expect(await releases()).toEqual([folderOf('1.0.0', old)])
    await runs('1.0.0')
    expect(kept.starts).toBe(1)
  })

  it('is not even asked of the host when no archive is for its kind of machine', async () => {
    const other = await workshop.pack({ version: '2.0.4', platform: 'darwin-x64' })
    await expect(upgrade(other)).rejects.toThrow(/is linux-\w+, and no archive is for that \(darwin-x64\)/)
    const { items } = await both.api<{ readonly items: readonly OperationView[] }>('GET', `/hosts/${(await host())?.name ?? ''}/operations`)
    expect(items).toEqual([])
    await runs('1.0.0')
  })

  it('goes no further when the new one does not start on this machine', async () => {
    const broken = await workshop.pack({ version: '2.0.1', files: { 'bin/node': '#!/bin/sh\nexit 126\n' } })
    const { operation } = await upgrade(broken)
    expect([operation.state, operation.reason]).toEqual(['ERROR', expect.stringContaining('the new release does not start')])
    await runs('1.0.0')
    expect(kept.starts).toBe(1)
  })

  it('goes back when the new one ends at its start, again and again', async () => {
    const source = await workshop.read('dist/loop/agent.js')
    const crash = source.replace(/export async function startAgentLoop\([^)]*\) \{/, (line) => `${line} process.exit(9);`)
    expect(crash).not.toBe(source)
    const broken = await workshop.pack({ version: '2.0.2', files: { 'dist/loop/agent.js': crash } })
    const { id } = await both.api<JobView>('POST', '/jobs', { script: 'sleep 3; exit 6' })
    await until(async () => (await both.api<JobView>('GET', `/jobs/${id}`)).state === 'running')
    const { code, operation } = await upgrade(broken)
    expect([code, operation.state, operation.reason]).toEqual([
      1,
      'ERROR',
      '1.0.0 goes on: 2.0.2 ended 3 times before it was in sync with the controller, the last time with code 9',
    ])
    await runs('1.0.0')
    expect((await both.ended(id)).outcome).toEqual({ kind: 'exited', code: 6 })
    await until(async () => (await releases()).length === 1)
    expect(await releases()).toEqual([folderOf('1.0.0', old)])
  })

  it('goes back at the deadline when the new one stands still, and ends it', async () => {
    const source = await workshop.read('dist/loop/agent/sync.js')
    // It holds the lock and syncs with nobody.
    const standing = source.replace(/async run\(\) \{/, (line) => `${line} for (;;) ;`)
    expect(standing).not.toBe(source)
    const broken = await workshop.pack({ version: '2.0.3', files: { 'dist/loop/agent/sync.js': standing } })
    const { operation } = await upgrade(broken, '--deadline', '10s')
    expect([operation.state, operation.reason]).toEqual(['ERROR', '1.0.0 goes on: 2.0.3 was not in sync with the controller within 10s'])
    await runs('1.0.0')
    expect(kept.starts).toBe(1)
    expect(kept.trialPid).toBeNull()
    const { id } = await both.api<JobView>('POST', '/jobs', { script: 'exit 5' })
    expect((await both.ended(id)).outcome).toEqual({ kind: 'exited', code: 5 })
  })

  it('is refused while another one runs, and to the same one again it changes nothing', async () => {
    const [first, second] = await Promise.all([upgrade(next), upgrade(next)].map((asked) => asked.catch((error: unknown) => String(error))))
    const ends = [first, second].map((end) => (typeof end === 'string' ? end : end?.operation.state))
    expect(ends.filter((end) => end === 'SUCCESS')).toHaveLength(1)
    expect(ends.find((end) => end !== 'SUCCESS')).toMatch(/STALE_BINARY|is busy with upgradeAgent/)
    await runs('2.0.0')
    expect((await upgrade(next)).operation.state).toBe('STALE_BINARY')
    await runs('2.0.0')
    expect(await releases()).toEqual([folderOf('1.0.0', old), folderOf('2.0.0', next)])
  })

  it.each([
    ['the old agent while it fetches', 'state=EXECUTING', ['main']],
    ['the old agent when the trial is written down', 'AWAITING_RECONNECT', ['main']],
    ['the leader of the trial as it begins', 'a new release is on trial', ['main']],
    ['the new agent as it begins', 'a new release is on trial', ['trial']],
    ['both as the trial begins', 'a new release is on trial', ['main', 'trial']],
    ['the leader when the new agent runs', 'IN SYNC ON TRIAL', ['main']],
    ['the new agent when it is in sync', 'IN SYNC ON TRIAL', ['trial']],
    ['both when the new agent is in sync', 'IN SYNC ON TRIAL', ['main', 'trial']],
    ['the leader when it is proved', 'runs 2.0.0', ['main']],
    ['all that is there when it is proved', 'runs 2.0.0', ['main', 'trial if it is there']],
  ] as const)('converges when SIGKILL takes %s, and the job that runs goes on [003-14] [003-36]', async (_who, moment, which) => {
    const { id: running } = await both.api<JobView>('POST', '/jobs', {
      script: 'while [ ! -e "$TMPDIR/end" ]; do sleep 0.1; done',
      timeoutS: 280,
    })
    await until(async () => (await both.api<JobView>('GET', `/jobs/${running}`)).state === 'running')
    const asked = upgrade(next)
    await until(() => hasCome(moment))
    const victims = [
      ...(which.some((name) => name === 'trial') ? [await until(() => kept.trialPid ?? undefined)] : []),
      ...(which.some((name) => name === 'trial if it is there') && kept.trialPid !== null ? [kept.trialPid] : []),
      ...(which.some((name) => name === 'main') ? [kept.pid] : []),
    ]
    for (const victim of victims) kept.kill(victim)
    const { operation } = await asked
    expect(operation.state).toBe('SUCCESS')
    await runs('2.0.0')
    await until(() => kept.trialPid === null)
    expect((await both.api<JobView>('GET', `/jobs/${running}`)).state).toBe('running')
    await both.api('POST', `/jobs/${running}/cancel`, {})
    const job = await both.ended(running)
    expect([job.attempts.length, job.outcome?.kind]).toEqual([1, 'cancelled'])
    const { id } = await both.api<JobView>('POST', '/jobs', { script: 'exit 5' })
    expect((await both.ended(id)).outcome).toEqual({ kind: 'exited', code: 5 })
  })

  /** Whether the agents' log has come so far. The new agent's own word that it is in sync comes after that of its leader that it is on trial. */
  function hasCome(moment: string): boolean {
    if (moment !== 'IN SYNC ON TRIAL') return kept.output.includes(moment)
    const trial = kept.output.indexOf('a new release is on trial')
    return trial !== -1 && kept.output.includes('in sync with the controller', trial)
  }
})
