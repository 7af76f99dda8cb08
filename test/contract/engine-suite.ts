import { existsSync } from 'node:fs'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { EngineFacts } from '../../src/model/host.ts'
import { EnvironmentName } from '../../src/model/job.ts'
import { Proof } from '../../src/model/readiness.ts'
import type { Engine, EngineSandbox, SandboxRequest } from '../../src/ports/engine.ts'
import { boot, inside, leaveRunning, newId, plainPath, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'

const unknownId = newId('att')

/** An engine, and what differs from one engine to the next in how it is tested. */
export interface EngineUnderTest {
  readonly name: string
  make(): Engine
  /** What every request asks for: an image where the engine has some. */
  readonly request: Partial<SandboxRequest>
  /** A path of the host that no sandbox may write to. */
  readonly victim: string
  /** What of it is still on the machine; asked when all is swept. */
  left(): readonly string[]
  /** Takes away what the test itself made. */
  remove(): void
}

type Prepare = () => Promise<EngineUnderTest> | EngineUnderTest

/** The contract of src/ports/engine.ts, the same for every engine. `prepare` makes what is needed once, before the first test. */
export function engineContract(name: string, prepare: Prepare): void {
  contractOf(name, prepare, true)
}

/** The part of the contract that speaks of sandboxes and not of what runs in them: for an engine inside which nothing really runs. */
export function engineLifeContract(name: string, prepare: Prepare): void {
  contractOf(name, prepare, false)
}

function contractOf(name: string, prepare: Prepare, runsCommands: boolean): void {
  describe(`the engine ${name}`, () => {
    let underTest: EngineUnderTest
    const request = (changes: Partial<SandboxRequest> = {}): Promise<SandboxRequest> =>
      requestFor(engine, { ...underTest.request, ...changes })
    let engine: Engine
    let facts: EngineFacts

    beforeAll(async () => {
      underTest = await prepare()
      engine = underTest.make()
      facts = await engine.probe()
    })

    afterEach(async () => {
      for (const { id } of await engine.list()) await engine.destroy(id)
    })

    afterAll(async () => {
      await engine.sweep(new Set())
      await eventually(() => expect(underTest.left()).toEqual([]))
      underTest.remove()
    })

    it('says what it can do, and does not promise what is not in its list', async () => {
      expect(EngineFacts.parse(facts)).toEqual(facts)
      expect(facts).toMatchObject({ name: underTest.name, ok: true })
      expect(facts.slots).toBeGreaterThan(0)
      expect(Proof.parse(await engine.check(underTest.request.image ?? null))).toMatchObject({ ok: true, reason: '' })
      expect(await engine.check('no-such-image')).toMatchObject({ ok: false, reason: expect.stringMatching(/image/) as string })
      expect('snapshot' in engine).toBe(facts.capabilities.snapshot)
    })

    it('refuses what it cannot do, with the reason, and leaves nothing of it', async () => {
      const refused = [await request({ image: 'no-such-image' })]
      if (facts.capabilities.images) refused.push(await request({ image: null }))
      for (const network of (['nat', 'host', 'none'] as const).filter((network) => !facts.capabilities.networks.includes(network)))
        refused.push(await request({ network }))
      if (facts.capabilities.limits.length < 4) refused.push(await request({ limits: 'enforced' }))
      for (const wanted of refused) await expect(engine.create(wanted)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      expect(await engine.list()).toEqual([])
    })

    it('takes a sandbox through its life, and every call may be repeated', async () => {
      const wanted = await request()
      const created = await engine.create(wanted)
      expect(created).toMatchObject({ id: wanted.id, engine: underTest.name, state: 'stopped', isolation: facts.isolation })
      expect(await engine.create(wanted)).toEqual(created)
      expect(await engine.list()).toEqual([created])
      expect((await engine.start(wanted.id)).state).toBe('running')
      expect((await engine.start(wanted.id)).state).toBe('running')
      await engine.stop(wanted.id, 0)
      await engine.stop(wanted.id, 0)
      expect((await engine.list())[0]?.state).toBe('stopped')
      expect((await engine.start(wanted.id)).state).toBe('running')
      await engine.destroy(wanted.id)
      await engine.stop(wanted.id, 0)
      await engine.destroy(wanted.id)
      expect(await engine.list()).toEqual([])
    })

    it('says so when there is no such sandbox, or it is not running', async () => {
      await expect(engine.start(unknownId)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(engine.command(unknownId, { argv: ['true'], env: {} })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await engine.stop(unknownId, 0)
      await engine.destroy(unknownId)
      const { id } = await engine.create(await request())
      await expect(engine.command(id, { argv: ['true'], env: {} })).rejects.toMatchObject({ code: 'CONFLICT' })
      await expect(engine.putFile(id, '/tmp/x', Buffer.from(''), 0o600)).rejects.toMatchObject({ code: 'CONFLICT' })
    })

    it('ends two calls for one sandbox at the same time as if they came one after the other', async () => {
      const wanted = await request()
      await Promise.all([engine.create(wanted), engine.create(wanted)])
      await Promise.all([engine.start(wanted.id), engine.start(wanted.id), engine.start(wanted.id)])
      expect(await engine.list()).toHaveLength(1)
      await Promise.all([engine.destroy(wanted.id), engine.destroy(wanted.id), engine.stop(wanted.id, 0).catch(() => undefined)])
      expect(await engine.list()).toEqual([])
    })

    it('sweeps away all but what is to be kept', async () => {
      const kept = await boot(engine, underTest.request)
      const { id } = await engine.create(await request())
      const report = await engine.sweep(new Set([kept.id]))
      expect(report).toMatchObject({ sandboxes: [id], failures: [] })
      expect(await engine.list()).toEqual([kept])
    })

    if (!runsCommands) return

    describe('with a running sandbox', () => {
      let sandbox: EngineSandbox

      async function fresh(): Promise<string> {
        sandbox = await boot(engine, underTest.request)
        return sandbox.id
      }

      it('gives back the exact exit code or signal', async () => {
        const id = await fresh()
        for (const code of [0, 1, 2, 100, 125, 126, 127, 128, 130, 255]) {
          expect(await shellInside(engine, id, `exit ${code}`)).toMatchObject({ code, signal: null })
        }
        for (const signal of ['TERM', 'KILL', 'SEGV', 'HUP', 'INT', 'PIPE', 'USR1', 'ABRT'] as const) {
          expect(await shellInside(engine, id, `kill -${signal} $$`)).toMatchObject({ code: null, signal: `SIG${signal}` })
        }
        expect((await inside(engine, id, { argv: ['/nowhere/at-all'], env: plainPath })).code).toBe(127)
        expect((await inside(engine, id, { argv: ['/etc/passwd'], env: plainPath })).code).toBe(126)
      })

      it('passes exactly the environment that it is given, whatever is in the values', async () => {
        const id = await fresh()
        const own = {
          HOME: sandbox.paths.home,
          TMPDIR: sandbox.paths.temporary,
          XDG_CACHE_HOME: `${sandbox.paths.home}/.cache`,
          ...plainPath,
        }
        const told = await inside(engine, id, { argv: ['/usr/bin/env', '-0'], env: own })
        const seen = told.stdout.split('\0').filter((line) => line !== '' && line !== `CIDERY_SANDBOX=${id}`)
        expect(seen.sort()).toEqual(
          Object.entries(own)
            .map(([key, value]) => `${key}=${value}`)
            .sort(),
        )
        const made = await shellInside(
          engine,
          id,
          'cd && pwd && : >"$TMPDIR/x" && mkdir -p "$XDG_CACHE_HOME" && printf "%s\\n" "$HOME" "$TMPDIR" "$XDG_CACHE_HOME"',
          own,
        )
        expect(made).toMatchObject({
          code: 0,
          stdout: `${sandbox.paths.home}\n${sandbox.paths.home}\n${sandbox.paths.temporary}\n${sandbox.paths.home}/.cache\n`,
        })
        for (const path of [sandbox.paths.work, sandbox.paths.temporary]) expect(path.startsWith(`${sandbox.paths.home}/`)).toBe(true)
      })

      it('passes any value of any name: newlines, quotes, dollars, emptiness, names that shells use themselves', async () => {
        const id = await fresh()
        const names = fc.oneof(
          fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/),
          fc.constantFrom('PWD', 'OLDPWD', 'IFS', 'PATH', 'LD_PRELOAD', 'BASH_ENV', 'ENV', 'v', 'i', 'LANG', 'PS4', 'SHELL'),
        )
        const values = fc
          .oneof(fc.string(), fc.constantFrom('', '\n', 'a\nb\n', `'"$(id)\`id\`\\`, '*', '~', ' lead and trail ', 'é☃'))
          .map((text) => text.replaceAll('\0', ''))
        const env = fc.dictionary(
          names.filter(
            (name) =>
              EnvironmentName.safeParse(name).success && !['OPTIND', '_', 'PPID', 'UID', 'EUID', 'SHELLOPTS', 'BASHOPTS'].includes(name),
          ),
          values,
          { maxKeys: 8 },
        )
        await fc.assert(
          fc.asyncProperty(env, async (given) => {
            const told = await inside(engine, id, { argv: ['/usr/bin/env', '-0'], env: given })
            const seen = Object.fromEntries(
              told.stdout
                .split('\0')
                .filter(Boolean)
                .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
            )
            delete seen['CIDERY_SANDBOX']
            expect(seen).toEqual({ ...given })
          }),
          { numRuns: 25 },
        )
      })

      it('never shows a value of the environment in the words of a process', async () => {
        const { argv } = await engine.command(await fresh(), { argv: ['true'], env: { TOKEN: 'very-secret' } })
        expect(argv.join('\0')).not.toContain('very-secret')
      })

      it('starts in the work directory, or where it is told, and says when that is not there', async () => {
        const id = await fresh()
        const pwd = { argv: ['/bin/pwd'], env: plainPath } as const
        expect((await inside(engine, id, pwd)).stdout).toBe(`${sandbox.paths.work}\n`)
        expect((await inside(engine, id, { ...pwd, cwd: '/usr' })).stdout).toBe('/usr\n')
        expect((await inside(engine, id, { ...pwd, cwd: '/nowhere' })).code).toBe(125)
      })

      it('hands over words as they are', async () => {
        const id = await fresh()
        const words = ['a b', '', '*', "it's", '"q"', '$HOME', '-n', '--', 'x=y', 'new\nline', '\\', 'é☃']
        const told = await inside(engine, id, { argv: ['/usr/bin/printf', '%s|', ...words], env: plainPath })
        expect(told.stdout).toBe(words.map((word) => `${word}|`).join(''))
      })

      it('gives a terminal when asked for one', async () => {
        const id = await fresh()
        const told = await inside(engine, id, {
          argv: ['/bin/sh', '-c', 'test -t 1 && echo "a terminal for $WHO" && exit 9'],
          env: { ...plainPath, WHO: 'me' },
          tty: true,
        })
        expect(told).toMatchObject({ code: 9 })
        expect(told.stdout.trim()).toBe('a terminal for me')
      })

      it('puts files of any size where the job can read them, with the mode that is asked', async () => {
        const id = await fresh()
        const path = `${sandbox.paths.work}/new/dir/tool`
        await engine.putFile(id, path, Buffer.from('#!/bin/sh\necho it runs\n'), 0o755)
        expect((await inside(engine, id, { argv: [path], env: plainPath })).stdout).toBe('it runs\n')
        await engine.putFile(id, path, Buffer.from('changed'), 0o640)
        expect((await shellInside(engine, id, `stat -c '%a %U' ${path}; cat ${path}`)).stdout).toBe(`640 ${sandbox.user}\nchanged`)
        async function* big(): AsyncGenerator<Uint8Array> {
          for (let part = 0; part < 64; part += 1) yield await Promise.resolve(new Uint8Array(256 * 1024).fill(part))
        }
        await engine.putFile(id, `${sandbox.paths.work}/big`, big(), 0o600)
        expect((await shellInside(engine, id, 'wc -c <big')).stdout.trim()).toBe(String(16 * 1024 * 1024))
        await engine.putFile(id, `${sandbox.paths.secrets}/token`, Buffer.from(''), 0o400)
        expect((await shellInside(engine, id, `stat -c '%a %s' ${sandbox.paths.secrets}/token`)).stdout).toBe('400 0\n')
      })

      it('leaves no part of a file whose source broke', async () => {
        const id = await fresh()
        async function* broken(): AsyncGenerator<Uint8Array> {
          yield await Promise.resolve(Buffer.from('half of it'))
          throw new Error('the source broke')
        }
        await expect(engine.putFile(id, `${sandbox.paths.work}/half`, broken(), 0o600)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
        await eventually(async () => expect((await shellInside(engine, id, 'ls -A')).stdout).toBe(''))
      })

      it('replaces a link at the place of a file and never writes through it', async () => {
        const id = await fresh()
        const { victim } = underTest
        await shellInside(engine, id, `ln -s ${victim} link; mkdir dir; echo old >dir/file; ln -s dir/file inner`)
        await engine.putFile(id, `${sandbox.paths.work}/link`, Buffer.from('new'), 0o600)
        await engine.putFile(id, `${sandbox.paths.work}/inner`, Buffer.from('new'), 0o600)
        expect(existsSync(victim)).toBe(false)
        expect((await shellInside(engine, id, 'cat dir/file; test -L link || cat link')).stdout).toBe('old\nnew')
      })

      it('says why a file cannot be written', async () => {
        const id = await fresh()
        await shellInside(engine, id, 'mkdir there; : >file')
        for (const path of [`${sandbox.paths.work}/there`, `${sandbox.paths.work}/file/below`]) {
          await expect(engine.putFile(id, path, Buffer.from('x'), 0o600)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
        }
        await expect(engine.putFile(id, 'relative', Buffer.from('x'), 0o600)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      })

      it('stops by TERM first, by KILL after the grace, and ends what left its session', async () => {
        const id = await fresh()
        // Without an account the whole machine's processes are seen: this one is known by its number.
        const seconds = 1_000_000 + Math.floor(Math.random() * 1_000_000)
        await leaveRunning(engine, id, `trap 'echo polite >said; exit' TERM; touch ready1; sleep ${seconds} & wait`)
        await leaveRunning(engine, id, `trap '' TERM; touch ready2; while :; do sleep 0.05; done # ${seconds}`)
        await leaveRunning(engine, id, `setsid sh -c 'touch ready3; sleep ${seconds}' </dev/null >/dev/null 2>&1 &`)
        await eventually(async () => expect((await shellInside(engine, id, 'ls')).stdout).toBe('ready1\nready2\nready3\n'))
        await engine.stop(id, 500)
        await engine.start(id)
        const [first, ...rest] = String(seconds)
        const look = `cat said; ps -eo args | grep -c '[${first}]${rest.join('')}'`
        expect((await shellInside(engine, id, look)).stdout).toBe('polite\n0\n')
      })

      it('keeps files over stop and start, and gives the next sandbox none of them', async () => {
        const id = await fresh()
        await shellInside(engine, id, 'echo kept >file')
        await engine.stop(id, 0)
        await engine.start(id)
        expect((await shellInside(engine, id, 'cat file')).stdout).toBe('kept\n')
        const other = await boot(engine, underTest.request)
        expect((await shellInside(engine, other.id, 'ls -A')).stdout).toBe('')
      })
    })

    it('ends with a sweep also what runs inside, but for what is to be kept', async () => {
      const [kept, stopped, running] = [
        await boot(engine, underTest.request),
        await engine.create(await request()),
        await boot(engine, underTest.request),
      ]
      await leaveRunning(engine, running.id, 'sleep 300')
      const report = await engine.sweep(new Set([kept.id]))
      expect([...report.sandboxes].sort()).toEqual([stopped.id, running.id].sort())
      expect(report.failures).toEqual([])
      expect(await engine.list()).toEqual([kept])
      expect((await shellInside(engine, kept.id, 'echo alive')).stdout).toBe('alive\n')
    })
  })
}
