import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JobView } from '../../src/model/api.ts'
import { runCidery } from '../e2e/processes.ts'
import { until } from './real-agent.ts'
import { engines, WithController } from './with-controller.ts'

function bytesOf(frames: readonly string[]): string {
  return frames
    .filter((frame) => frame.startsWith('bytes:'))
    .map((frame) => frame.slice(6))
    .join('')
}

describe('an agent with a real controller', () => {
  const both = new WithController()

  it('takes jobs only after its health was looked at and a boot was proved, and runs them [001-43]', async () => {
    const { id } = await both.api<JobView>('POST', '/jobs', {
      script: 'mkdir out; echo made > out/file; echo hello; exit 3',
      artifacts: ['out/*'],
    })
    const agent = await both.run()
    const job = await both.ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 3 })
    const host = await both.api<{
      readonly facts: {
        readonly readiness: readonly {
          readonly check: { readonly ok: boolean; readonly at: number }
          readonly boot: { readonly ok: boolean }
        }[]
      }
    }>('GET', `/hosts/${agent.name}`)
    expect(host.facts.readiness[0]).toMatchObject({ check: { ok: true }, boot: { ok: true } })
    expect(await both.logOf(id)).toBe('hello\n')
    const artifact = await fetch(`${both.controller.url}/api/v1/jobs/${id}/artifacts/out/file`, {
      headers: { authorization: `Bearer ${both.token}` },
    })
    expect(await artifact.text()).toBe('made\n')
    expect(Object.keys(job.stepMs).toSorted()).toEqual(['boot', 'clean', 'collect', 'prepare', 'queue', 'run', 'source'])
  })

  it('ends a job at its time limit, keeps its log, and has the slot free again [001-39]', async () => {
    const agent = await both.run({ engines: { user: { ...engines.user, slots: 1 } } })
    const script = `trap 'echo told to end' TERM; echo begun; while :; do sleep 0.05; done`
    const stubborn = await both.api<JobView>('POST', '/jobs', { script, timeoutS: 1 })
    const next = await both.api<JobView>('POST', '/jobs', { script: 'echo mine' })
    expect((await both.ended(stubborn.id)).outcome).toEqual({ kind: 'timedOut', afterS: 1 })
    // The shell itself tells of the `sleep` that got the signal too.
    expect(await both.logOf(stubborn.id)).toMatch(/^begun\n(?:Terminated\n)?told to end\n$/)
    expect((await both.ended(next.id)).outcome).toEqual({ kind: 'exited', code: 0 })
    const host = await until(async () => {
      const seen = await both.api<{ readonly runningJobs: readonly string[]; readonly slots: unknown }>('GET', `/hosts/${agent.name}`)
      return seen.runningJobs.length === 0 ? seen : undefined
    })
    expect(host.slots).toEqual({ user: { used: 0, total: 1 } })
  })

  it('gives a job a home of its own, with everything it writes inside, and nothing of the environment of agent and supervisor [001-30]', async () => {
    const child = both.start(await both.options(), {
      CIDERY_TEST_MARK: 'of the agent',
      npm_config_cache: '/of/the/agent',
      XDG_CACHE_HOME: '/of/the/agent',
    })
    await child.up
    const script = 'env -0 | tr "\\0" "\\n"; mkdir -p ~/.cache/x; f=$(mktemp); echo "temporary $f"; echo "cache $(cd ~/.cache && pwd)"'
    const jobs = [await both.api<JobView>('POST', '/jobs', { script }), await both.api<JobView>('POST', '/jobs', { script })]
    const homes: string[] = []
    for (const { id } of jobs) {
      expect((await both.ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
      const log = await both.logOf(id)
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
    child.stop()
    expect(await child.exit).toBe(0)
  })

  it('gives a job a directory as it asks: copied without .git, or mounted and not copied; refused where the host does not allow it [002-12]', async () => {
    const place = await realpath(await mkdtemp(join(tmpdir(), 'cidery a place ')))
    try {
      const source = join(place, 'a check out')
      await mkdir(join(source, '.git'), { recursive: true })
      await writeFile(join(source, '.git', 'HEAD'), 'ref: refs/heads/main')
      await writeFile(join(source, 'a file'), 'words\n')
      const agent = await both.run({ engines: { user: { ...engines.user, mounts: [place] } } })
      const env = { CIDERY_URL: both.controller.url, CIDERY_TOKEN: both.token }
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
      expect(await both.api('GET', `/hosts/${agent.name}`)).toMatchObject({
        failureStreak: 0,
        facts: { readiness: [{ boot: { ok: true } }] },
      })
    } finally {
      await rm(place, { recursive: true, force: true })
    }
  })

  it('opens a terminal in a sandbox, and carries bytes and the exit code both ways', async () => {
    await both.run({ bootProbes: false })
    const made = await both.api<{ readonly id: string }>('POST', '/sandboxes', {})
    await until(async () => (await both.api<{ readonly state: string }>('GET', `/sandboxes/${made.id}`)).state === 'running', 60_000)
    const { frames, socket } = await both.streamTo(made.id, ['sh', '-c', 'read line; echo "got $line"; exit 7'])
    socket.send(Buffer.from('something typed\n'))
    await until(() => frames.some((frame) => frame.startsWith('text:')), 30_000)
    expect(bytesOf(frames)).toContain('got something typed')
    expect(frames.at(-1)).toBe('text:{"exit":{"code":7,"signal":null}}')
    // One that reads to the end is told when that is there, also when it came before the command was up.
    const reading = await both.streamTo(made.id, ['sh', '-c', 'wc -c; exit 5'])
    reading.socket.send(Buffer.from('all of it'))
    reading.socket.send('{"eof":true}')
    await until(() => reading.frames.some((frame) => frame.startsWith('text:')), 30_000)
    expect([bytesOf(reading.frames).trim(), reading.frames.at(-1)]).toEqual(['9', 'text:{"exit":{"code":5,"signal":null}}'])
    reading.socket.terminate()
    socket.terminate()
    await both.api('DELETE', `/sandboxes/${made.id}`)
    await until(async () => {
      const all = await both.api<{ readonly items: readonly { readonly id: string; readonly state: string }[] }>('GET', '/sandboxes')
      return !all.items.some(({ id, state }) => id === made.id && state !== 'gone')
    }, 60_000)
  })

  it('is killed and started again in the middle of a job, and the job does not notice', async () => {
    const asked = await both.options()
    let child = both.start(asked)
    await child.up
    const script = 'i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 9'
    const { id } = await both.api<JobView>('POST', '/jobs', { script, artifacts: ['none'] })
    for (let kills = 0; kills < 2; kills += 1) {
      await until(async () => (await both.api<JobView>('GET', `/jobs/${id}`)).state === 'running', 60_000)
      await new Promise((resolve) => void setTimeout(resolve, 700))
      child.kill()
      await child.exit
      child = both.start({ ...asked, enrolmentToken: null })
      await child.up
    }
    const job = await both.ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 9 })
    expect(job.attempts.length).toBe(1)
    expect(await both.logOf(id)).toBe(Array.from({ length: 40 }, (_, line) => `line ${line}\n`).join(''))
    child.stop()
    expect(await child.exit).toBe(0)
  })
})
