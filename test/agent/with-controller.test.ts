import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { runAgent, type RunAgentOptions, type RunningAgent } from '../../src/main/agent.ts'
import { runController, type RunningController } from '../../src/main/controller.ts'
import type { JobView } from '../../src/model/api.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { runCidery } from '../e2e/processes.ts'
import { until } from './real-agent.ts'

let folder: string
let controller: RunningController
let controllerLog: ReturnType<typeof recordingLog>
let token: string
let agent: RunningAgent | undefined
const children: ChildProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cidery-both-'))
  controllerLog = recordingLog()
  controller = await runController({
    stateDir: join(folder, 'controller'),
    listen: { host: '127.0.0.1', port: 0 },
    version: '1',
    log: controllerLog,
    handleSignals: false,
  })
  token = (await readFile(controller.tokenFile, 'utf8')).trim()
})

afterEach(async () => {
  await agent?.stop()
  agent = undefined
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await controller.close()
  await rm(folder, { recursive: true, force: true })
})

// oxlint-disable-next-line max-params -- the four parts of a request
async function api<T>(method: string, path: string, body?: unknown, more: Readonly<Record<string, string>> = {}): Promise<T> {
  const headers: Record<string, string> = {
    authorization: `Bearer ${token}`,
    ...more,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  const response = await fetch(`${controller.url}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return (response.status === 204 ? null : await response.json()) as T
}

async function enrolmentToken(): Promise<string> {
  return (await api<{ readonly token: string }>('POST', '/enrolments', {})).token
}

const engines = { user: { prefix: 'tc-', uidRange: [675_000, 675_999], netRange: '198.19.245.0/24' } }

async function options(change: Partial<RunAgentOptions> = {}): Promise<RunAgentOptions> {
  const enrolled = await readFile(join(folder, 'agent', 'journal', 'identity.json'), 'utf8').catch(() => null)
  return {
    stateDir: join(folder, 'agent'),
    version: '1',
    log: recordingLog(),
    controllerUrl: controller.url,
    caFingerprint: null,
    enrolmentToken: enrolled === null ? await enrolmentToken() : null,
    engines,
    ...change,
  }
}

interface SeenHost {
  readonly id: string
  readonly state: string
  readonly generation: number
  readonly facts: { readonly agentVersion: string } | null
}

async function hostsOf(): Promise<readonly SeenHost[]> {
  return (await api<{ readonly items: readonly SeenHost[] }>('GET', '/hosts')).items
}

/** A person's end of a command in a sandbox, and what came over it. */
async function streamTo(
  sandboxId: string,
  command: readonly string[],
): Promise<{ readonly frames: readonly string[]; readonly socket: WebSocket }> {
  const { streamId } = await api<{ readonly streamId: string }>('POST', `/sandboxes/${sandboxId}/streams`, { command, tty: false })
  const socket = new WebSocket(`${controller.url.replace('http', 'ws')}/api/v1/streams/${streamId}`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const frames: string[] = []
  socket.on('message', (data: Buffer, binary: boolean) => frames.push(`${binary ? 'bytes' : 'text'}:${data.toString('utf8')}`))
  await new Promise((resolve) => socket.once('open', resolve))
  return { frames, socket }
}

function bytesOf(frames: readonly string[]): string {
  return frames
    .filter((frame) => frame.startsWith('bytes:'))
    .map((frame) => frame.slice(6))
    .join('')
}

async function logOf(id: string): Promise<string> {
  const response = await fetch(`${controller.url}/api/v1/jobs/${id}/log?follow=1`, { headers: { authorization: `Bearer ${token}` } })
  return response.text()
}

async function ended(id: string): Promise<JobView> {
  return until(async () => {
    const job = await api<JobView>('GET', `/jobs/${id}`)
    return job.state === 'ended' ? job : undefined
  }, 60_000)
}

describe('an agent with a real controller', () => {
  it('takes jobs only after its health was looked at and a boot was proved, and runs them [001-43]', async () => {
    const { id } = await api<JobView>('POST', '/jobs', {
      script: 'mkdir out; echo made > out/file; echo hello; exit 3',
      artifacts: ['out/*'],
    })
    agent = await runAgent(await options())
    const job = await ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 3 })
    const host = await api<{
      readonly facts: {
        readonly readiness: readonly {
          readonly check: { readonly ok: boolean; readonly at: number }
          readonly boot: { readonly ok: boolean }
        }[]
      }
    }>('GET', `/hosts/${agent.name}`)
    expect(host.facts.readiness[0]).toMatchObject({ check: { ok: true }, boot: { ok: true } })
    expect(await logOf(id)).toBe('hello\n')
    const artifact = await fetch(`${controller.url}/api/v1/jobs/${id}/artifacts/out/file`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(await artifact.text()).toBe('made\n')
    expect(Object.keys(job.stepMs).toSorted()).toEqual(['boot', 'clean', 'collect', 'prepare', 'queue', 'run', 'source'])
  })

  it('ends a job at its time limit, keeps its log, and has the slot free again [001-39]', async () => {
    agent = await runAgent(await options({ engines: { user: { ...engines.user, slots: 1 } } }))
    const script = `trap 'echo told to end' TERM; echo begun; while :; do sleep 0.05; done`
    const stubborn = await api<JobView>('POST', '/jobs', { script, timeoutS: 1 })
    const next = await api<JobView>('POST', '/jobs', { script: 'echo mine' })
    expect((await ended(stubborn.id)).outcome).toEqual({ kind: 'timedOut', afterS: 1 })
    // The shell itself tells of the `sleep` that got the signal too.
    expect(await logOf(stubborn.id)).toMatch(/^begun\n(?:Terminated\n)?told to end\n$/)
    expect((await ended(next.id)).outcome).toEqual({ kind: 'exited', code: 0 })
    const host = await until(async () => {
      const seen = await api<{ readonly runningJobs: readonly string[]; readonly slots: unknown }>('GET', `/hosts/${agent?.name ?? ''}`)
      return seen.runningJobs.length === 0 ? seen : undefined
    })
    expect(host.slots).toEqual({ user: { used: 0, total: 1 } })
  })

  it('gives a job a home of its own, with everything it writes inside, and nothing of the environment of agent and supervisor [001-30]', async () => {
    const process = start(await options(), {
      CIDERY_TEST_MARK: 'of the agent',
      npm_config_cache: '/of/the/agent',
      XDG_CACHE_HOME: '/of/the/agent',
    })
    await process.up
    const script = 'env -0 | tr "\\0" "\\n"; mkdir -p ~/.cache/x; f=$(mktemp); echo "temporary $f"; echo "cache $(cd ~/.cache && pwd)"'
    const jobs = [await api<JobView>('POST', '/jobs', { script }), await api<JobView>('POST', '/jobs', { script })]
    const homes: string[] = []
    for (const { id } of jobs) {
      expect((await ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
      const log = await logOf(id)
      expect(log).not.toContain('of the agent')
      expect(log).not.toContain('/of/the/agent')
      const lines = log.trimEnd().split('\n')
      const seen = new Map(lines.filter((line) => /^[A-Za-z_]+=/.test(line)).map((line) => line.split('=', 2) as [string, string]))
      const home = seen.get('HOME') ?? ''
      homes.push(home)
      expect([...seen.keys()].filter((name) => name !== 'PWD' && name !== '_' && name !== 'SHLVL' && name !== 'OLDPWD').toSorted()).toEqual(
        `CI CIDERY_ATTEMPT CIDERY_JOB_ID CIDERY_QUEUE CIDERY_SANDBOX CIDERY_SECRETS CIDERY_WORK HOME LANG LOGNAME PATH SHELL TMPDIR USER`
          .split(' ')
          .filter((name) => seen.has(name) || name !== 'CIDERY_SANDBOX'),
      )
      expect(seen.get('TMPDIR')).toMatch(new RegExp(`^${home}/`))
      expect(lines.find((line) => line.startsWith('temporary '))).toMatch(new RegExp(`^temporary ${home}/`))
      expect(lines.find((line) => line.startsWith('cache '))).toBe(`cache ${home}/.cache`)
    }
    expect(homes[0]).not.toBe(homes[1])
    process.stop()
    expect(await process.exit).toBe(0)
  })

  it('gives a job a directory as it asks: copied without .git, or mounted and not copied; refused where the host does not allow it [002-12]', async () => {
    const place = await realpath(await mkdtemp(join(tmpdir(), 'cidery a place ')))
    try {
      const source = join(place, 'a check out')
      await mkdir(join(source, '.git'), { recursive: true })
      await writeFile(join(source, '.git', 'HEAD'), 'ref: refs/heads/main')
      await writeFile(join(source, 'a file'), 'words\n')
      agent = await runAgent(await options({ engines: { user: { ...engines.user, mounts: [place] } } }))
      const env = { CIDERY_URL: controller.url, CIDERY_TOKEN: token }
      const run = (...words: string[]) => runCidery(['run', '--source', source, ...words], { env, deadlineMs: 60_000 })
      const synced = await run('--', 'sh', '-c', 'ls -A; cat "a file"; echo mine >"a file"; echo "[$CIDERY_SOURCE]"')
      expect([synced.code, synced.stdout.toString()]).toEqual([0, 'a file\nwords\n[]\n'])
      const mounted = await run(
        '--transfer',
        'mount',
        '--',
        'sh',
        '-c',
        'ls -A; cd "$CIDERY_SOURCE"; ls -A; cat "a file"; touch new; exit 6',
      )
      expect([mounted.code, mounted.stdout.toString()]).toEqual([
        6,
        expect.stringMatching(/^\.git\na file\nwords\n.*Read-only file system\n$/),
      ])
      expect(await readdir(source)).toEqual(['.git', 'a file'])
      const elsewhere = await runCidery(['run', '--source', '/etc', '--transfer', 'mount', '--', 'true'], { env, deadlineMs: 60_000 })
      expect([elsewhere.code, elsewhere.stderr]).toEqual([125, expect.stringContaining('this host does not let jobs see /etc')])
      expect(elsewhere.stderr).toContain('engines.user.mounts')
      expect(await api('GET', `/hosts/${agent.name}`)).toMatchObject({ failureStreak: 0, facts: { readiness: [{ boot: { ok: true } }] } })
    } finally {
      await rm(place, { recursive: true, force: true })
    }
  })

  it('keeps its lock in a private directory of its identity alone, and makes one private that is not [003-06]', async () => {
    await mkdir(join(folder, 'agent'))
    await chmod(join(folder, 'agent'), 0o777)
    agent = await runAgent(await options({ bootProbes: false }))
    const { mode } = await stat(join(folder, 'agent'))
    expect(mode & 0o777).toBe(0o700)
    expect((await readdir(join(folder, 'agent'))).filter((name) => name.includes('lock'))).toContain('agent.lock')
    // Another identity of the same machine is not in its way.
    const other = await runAgent(
      await options({
        bootProbes: false,
        stateDir: join(folder, 'other'),
        enrolmentToken: await enrolmentToken(),
        engines: { user: { prefix: 'td-', uidRange: [674_000, 674_999], netRange: '198.19.246.0/24' } },
      }),
    )
    expect(other.hostId).not.toBe(agent.hostId)
    await other.stop()
  })

  it('opens a terminal in a sandbox, and carries bytes and the exit code both ways', async () => {
    agent = await runAgent(await options({ bootProbes: false }))
    const made = await api<{ readonly id: string }>('POST', '/sandboxes', {})
    await until(async () => (await api<{ readonly state: string }>('GET', `/sandboxes/${made.id}`)).state === 'running', 60_000)
    const { frames, socket } = await streamTo(made.id, ['sh', '-c', 'read line; echo "got $line"; exit 7'])
    socket.send(Buffer.from('something typed\n'))
    await until(() => frames.some((frame) => frame.startsWith('text:')), 30_000)
    expect(bytesOf(frames)).toContain('got something typed')
    expect(frames.at(-1)).toBe('text:{"exit":{"code":7,"signal":null}}')
    // One that reads to the end is told when that is there, also when it came before the command was up.
    const reading = await streamTo(made.id, ['sh', '-c', 'wc -c; exit 5'])
    reading.socket.send(Buffer.from('all of it'))
    reading.socket.send('{"eof":true}')
    await until(() => reading.frames.some((frame) => frame.startsWith('text:')), 30_000)
    expect([bytesOf(reading.frames).trim(), reading.frames.at(-1)]).toEqual(['9', 'text:{"exit":{"code":5,"signal":null}}'])
    reading.socket.terminate()
    socket.terminate()
    await api('DELETE', `/sandboxes/${made.id}`)
    await until(async () => {
      const all = await api<{ readonly items: readonly { readonly id: string; readonly state: string }[] }>('GET', '/sandboxes')
      return !all.items.some(({ id, state }) => id === made.id && state !== 'gone')
    }, 60_000)
  })

  it('is killed and started again in the middle of a job, and the job does not notice', async () => {
    const asked = await options()
    let process = start(asked)
    await process.up
    const script = 'i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 9'
    const { id } = await api<JobView>('POST', '/jobs', { script, artifacts: ['none'] })
    for (let kills = 0; kills < 2; kills += 1) {
      await until(async () => (await api<JobView>('GET', `/jobs/${id}`)).state === 'running', 60_000)
      await new Promise((resolve) => void setTimeout(resolve, 700))
      process.kill()
      await process.exit
      process = start({ ...asked, enrolmentToken: null })
      await process.up
    }
    const job = await ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 9 })
    expect(job.attempts.length).toBe(1)
    expect(await logOf(id)).toBe(Array.from({ length: 40 }, (_, line) => `line ${line}\n`).join(''))
    process.stop()
    expect(await process.exit).toBe(0)
  })

  it('replaces its key when asked, and works on; the old key is refused from then on', async () => {
    agent = await runAgent(await options({ bootProbes: false }))
    const { name } = agent
    const keyNow = async () =>
      (JSON.parse(await readFile(join(folder, 'agent', 'journal', 'identity.json'), 'utf8')) as { readonly key: string }).key
    const old = await keyNow()
    const seen = await until(async () => (await hostsOf()).find(({ state }) => state === 'up'))
    await api('POST', `/hosts/${name}/rotate-key`, undefined, { 'if-match': `"${seen.generation}"` })
    await until(async () => (await keyNow()) !== old)
    const rotated = await until(async () => {
      const { items } = await api<{ readonly items: readonly { readonly kind: string; readonly actor: string }[] }>(
        'GET',
        '/audit?limit=200',
      )
      return items.find(({ kind }) => kind === 'host.keyRotated')
    })
    expect(rotated.actor).toBe(`host:${name}`)
    const statusFor = async (key: string) =>
      (await fetch(`${controller.url}/api/v1/agent/blobs/${'0'.repeat(64)}`, { headers: { authorization: `Bearer ${key}` } })).status
    expect([await statusFor(old), await statusFor(await keyNow())]).toEqual([401, 404])
    const { id } = await api<JobView>('POST', '/jobs', { script: 'exit 0' })
    await agent.stop()
    agent = await runAgent(await options())
    expect((await ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
  })

  it('hands over to a newer one that its service manager started too early: that waits for the lock, takes the job over, and never are there two [003-14] [003-18]', async () => {
    const asked = await options()
    const old = start(asked)
    await old.up
    const { id } = await api<JobView>('POST', '/jobs', {
      script: 'i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 4',
    })
    await until(async () => (await api<JobView>('GET', `/jobs/${id}`)).state === 'running', 60_000)
    const next = start({ ...asked, enrolmentToken: null, version: '2', lockWaitMs: 60_000 })
    await until(() => next.output().includes('waiting for the agent that runs now to end'))
    const whileBoth = await hostsOf()
    expect(whileBoth).toMatchObject([{ state: 'up', facts: { agentVersion: '1' } }])
    expect(next.output()).not.toContain('UP')
    old.stop()
    expect(await old.exit).toBe(0)
    await next.up
    await until(async () => (await hostsOf())[0]?.facts?.agentVersion === '2')
    const job = await ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 4 })
    expect(job.attempts).toHaveLength(1)
    expect((await logOf(id)).split('\n')).toHaveLength(61)
    expect((await hostsOf()).map(({ id }) => id)).toEqual(whileBoth.map(({ id }) => id))
    expect(controllerLog.lines.filter(({ message }) => message.includes('a second agent speaks'))).toEqual([])
    next.stop()
    expect(await next.exit).toBe(0)
  })

  it('refuses a second agent of one identity within a second, names the first, and takes over when that is gone [003-05] [003-07] [003-08] [003-20]', async () => {
    const first = start(await options({ bootProbes: false }))
    await first.up
    const startedAt = performance.now()
    const second = start(await options({ bootProbes: false }))
    expect(await second.exit).toBe(5)
    // The time of the refusal itself, without that of starting a second Node.
    expect(second.refusedMs()).toBeLessThan(1000)
    expect(performance.now() - startedAt).toBeLessThan(20_000)
    expect(second.output()).toContain('Another agent instance is already running')
    expect(second.output()).toContain(String(first.pid))
    expect(second.output()).toContain(join(folder, 'agent', 'agent.lock'))
    first.stop()
    expect(await first.exit).toBe(0)
    const third = start(await options({ bootProbes: false }))
    await third.up
    third.stop()
    expect(await third.exit).toBe(0)
  })
})

/** An agent as a process of its own. */
function start(asked: RunAgentOptions, env: Readonly<Record<string, string>> = {}) {
  const { log: _log, ...rest } = asked
  const child = spawn(process.execPath, ['--no-warnings', new URL('./agent-process.ts', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  children.push(child)
  let text = ''
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString('utf8')))
  child.stderr.on('data', (piece: Buffer) => (text += piece.toString('utf8')))
  child.stdin.end(JSON.stringify(rest))
  const exit = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  return {
    pid: child.pid,
    exit,
    up: until(() => text.includes('UP'), 30_000),
    output: () => text,
    refusedMs: () => Number(/REFUSED (\d+)/.exec(text)?.[1] ?? Number.NaN),
    stop: () => child.kill('SIGTERM'),
    kill: () => child.kill('SIGKILL'),
  }
}
