import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../e2e/free-port.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'cidery.js')
const isRoot = process.getuid?.() === 0
/** Without root a job is isolated by its directory only and shares the network of the machine. */
const network = isRoot ? [] : ['--network', 'host']
const number = process.pid % 200

let directory: string
let state: string
let listen: string
let up: ChildProcess
let output = ''

async function start(): Promise<void> {
  up = spawn(process.execPath, [launcher, 'up', '--state', state, '--listen', listen], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: directory },
  })
  for (const stream of [up.stdout, up.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const deadline = performance.now() + 60_000
  for (;;) {
    const ready = await fetch(`http://${listen}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    )
    const hosts = ready ? await cidery(['host', 'ls', '--state', 'up', '-o', 'name']) : undefined
    if (hosts !== undefined && hosts.stdout !== '') return
    if (performance.now() > deadline || up.exitCode !== null) throw new Error(`cidery up is not ready:\n${output}`)
    await new Promise((resolve) => void setTimeout(resolve, 100))
  }
}

async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (up.exitCode !== null || up.signalCode !== null) return
  up.kill(signal)
  await once(up, 'exit')
}

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { ...options, env: { CIDERY_STATE: state, ...options.env } })
}

async function removeSandboxes(): Promise<void> {
  const names = async () => (await cidery(['sandbox', 'ls', '-o', 'name'])).stdout.split('\n').filter((name) => name !== '')
  const deadline = performance.now() + 30_000
  for (const name of await names()) await cidery(['sandbox', 'rm', name, '--yes'])
  while ((await names()).length > 0 && performance.now() < deadline) await new Promise((resolve) => void setTimeout(resolve, 200))
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-cli-real-'))
  state = join(directory, 'state')
  listen = `127.0.0.1:${await freePort()}`
  const user = {
    prefix: `q${number.toString(36)}x-`,
    uidRange: [870_000 + number * 100, 870_099 + number * 100],
    netRange: `198.19.${number}.0/24`,
  }
  await mkdir(join(state, 'agent'), { recursive: true, mode: 0o700 })
  await writeFile(join(state, 'agent', 'agent.yaml'), JSON.stringify({ engines: { user } }), { mode: 0o600 })
  const networks = isRoot ? '[nat, none]' : '[host]'
  await writeFile(
    join(directory, 'cidery.yaml'),
    `version: 1\npools:\n  default:\n    engines:\n      user: { networks: ${networks}, limits: advisory }\n`,
  )
  await start()
  expect((await cidery(['apply', '-f', join(directory, 'cidery.yaml'), '--yes'])).code).toBe(0)
}, 120_000)

afterAll(async () => {
  // A sandbox that a failed test left has an account of this machine.
  await removeSandboxes()
  await end('SIGTERM')
  // A proof that a sandbox boots may have been under way: the next agent of this state would have cleaned up, and there is none.
  if (isRoot)
    spawnSync('sh', ['-c', `getent passwd | cut -d: -f1 | grep '^q${number.toString(36)}x-' | xargs -r -n1 userdel --force`], {
      stdio: 'ignore',
    })
  // The engine keeps its table of packet filter rules for the next job; here there is none.
  if (isRoot) spawnSync('nft', ['delete', 'table', 'inet', `cidery_q${number.toString(36)}x`], { stdio: 'ignore' })
  await rm(directory, { recursive: true, force: true })
}, 60_000)

describe('against a real controller and agent', () => {
  it('prints no secret while it starts', async () => {
    const token = (await readFile(join(state, 'admin.token'), 'utf8')).trim()
    expect(output).not.toContain(token)
    expect(output).not.toMatch(/#code=|cidery_(?:tok|enr|key)_/)
  })

  it.each([
    ['exit 0', 0],
    ['exit 42', 42],
    ['kill -9 $$', 137],
    ['kill -TERM $$', 143],
  ])('ends with the exact code of %s', async (script, code) => {
    const run = await cidery(['run', ...network, '--', 'sh', '-c', `echo out; echo err >&2; ${script}`])
    expect(run.code).toBe(code)
    expect(run.stdout).toBe('out\nerr\n')
  })

  it('builds a directory with its sources and brings the artifact back', async () => {
    const source = join(directory, 'source')
    await mkdir(join(source, 'sub'), { recursive: true })
    await writeFile(join(source, '.gitignore'), '*.secret\n')
    await writeFile(join(source, 'a.secret'), 'no')
    await writeFile(join(source, 'sub', 'text'), 'one\ntwo\n')
    const script = 'ls -A | tr "\\n" " "; mkdir out && sort -r sub/text > out/sorted && chmod 700 out/sorted'
    const out = join(directory, 'out')
    const run = await cidery([
      'run',
      ...network,
      '--source',
      source,
      '--artifact',
      'out/*',
      '--artifacts-dir',
      out,
      '--',
      'sh',
      '-c',
      script,
    ])
    expect(run.stderr).toContain('1 artifact in')
    expect(run.code).toBe(0)
    expect(run.stdout).toBe('.gitignore sub ')
    expect(await readFile(join(out, 'out/sorted'), 'utf8')).toBe('two\none\n')
  })

  it('passes secrets by file, and neither prints them nor lists their values', async () => {
    const value = `line 1\nline "2" of ${process.pid}\n`
    expect((await cidery(['secret', 'set', 'KEY', '--raw'], { stdin: value })).code).toBe(0)
    const run = await cidery([
      'run',
      ...network,
      '--secret',
      'KEY',
      '--',
      'sh',
      '-c',
      'wc -c < "$CIDERY_SECRETS/KEY"; env | grep -c "of [0-9]" || true',
    ])
    expect(run.stdout.trim().split(/\s+/)).toEqual([String(value.length), '0'])
    expect((await cidery(['secret', 'ls', '--json'])).stdout).not.toContain('line 1')
  })

  it('cancels the job on Ctrl-C', async () => {
    let started = false
    const run = await cidery(['run', ...network, '--name', 'to-cancel', '--', 'sh', '-c', 'echo started; sleep 600'], {
      interrupt: (press) => {
        const look = setInterval(() => {
          void cidery(['job', 'ls', '--state', 'running', '-o', 'json']).then(({ stdout }) => {
            if (started || !stdout.includes('to-cancel')) return
            started = true
            clearInterval(look)
            press()
          })
        }, 200)
      },
    })
    expect(run.code).toBe(130)
  })

  it('says which selector matches no host, and takes the job back [002-95]', async () => {
    const submitted = await cidery(['job', 'submit', ...network, '--label', 'xcode=99', '--', 'true'])
    const id = submitted.stdout.trim()
    let explained = await cidery(['why', `job/${id}`])
    for (let tries = 0; tries < 50 && !explained.stdout.includes('xcode=99'); tries += 1) {
      await new Promise((resolve) => void setTimeout(resolve, 100))
      explained = await cidery(['why', `job/${id}`])
    }
    expect(explained.stdout).toContain('has the label xcode=99')
    expect(explained.stdout).toContain('next: ')
    expect((await cidery(['job', 'cancel', id])).code).toBe(0)
  })

  it('runs a known job end to end in a fresh sandbox and checks its artifact [002-131]', async () => {
    const script = network.length === 0 ? [] : ['--network', 'host']
    const run = await cidery(['test-build', '--json'])
    const view = JSON.parse(run.stdout) as {
      readonly ok: boolean
      readonly checks: readonly { readonly name: string; readonly state: string }[]
    }
    expect(view.checks.map(({ name, state: passed }) => `${name} ${passed}`)).toEqual([
      'sandbox passed',
      'exit code passed',
      'log passed',
      'artifact passed',
    ])
    expect(run.code).toBe(0)
    expect(script).toEqual(network)
  })

  it('gives a verdict with exit code 0 or 2, also as JSON [002-155]', async () => {
    const verdict = async (options: CliOptions = {}) => {
      const [plain, json] = [await cidery(['doctor'], options), await cidery(['doctor', '--json'], options)]
      return [plain.code, plain.stdout.trimEnd().split('\n').at(-1), (JSON.parse(json.stdout) as { readonly verdict: string }).verdict]
    }
    const name = (await cidery(['host', 'ls', '-o', 'name'])).stdout.trim()
    const healthy = await verdict()
    await cidery(['host', 'cordon', name, '--reason', 'a test'])
    const nobody = await verdict()
    await cidery(['host', 'uncordon', name])
    expect(isRoot ? healthy : [0, 'healthy', 'healthy']).toEqual([0, 'healthy', 'healthy'])
    expect(nobody).toEqual([2, 'failed', 'failed'])
    expect(await verdict({ env: { CIDERY_URL: 'http://127.0.0.1:1' } })).toEqual([2, 'failed', 'failed'])
  })

  it('makes, uses, stops, starts and removes a sandbox of its own', async () => {
    expect((await cidery(['vm', 'create', 'mine'])).code).toBe(0)
    const run = await cidery(['vm', 'exec', 'mine', '--', 'sh', '-c', 'echo inside; exit 5'])
    expect([run.code, run.stdout]).toEqual([5, 'inside\n'])
    expect((await cidery(['vm', 'stop', 'mine'])).stdout).toContain('stopped')
    const started = await cidery(['vm', 'start', 'mine'])
    expect(`${started.code} ${started.stdout}${started.stderr}`).toMatch(/^0 [^]*running/)
    await cidery(['vm', 'stop', 'mine'])
    const snapshot = await cidery(['vm', 'snapshot', 'mine', 'before'])
    expect(`${snapshot.code} ${snapshot.stderr}`).toMatch(/^1 [^]*UNSUPPORTED/)
    expect((await cidery(['vm', 'rm', 'mine', '--yes'])).code).toBe(0)
  })

  it('runs a command on the host with its exit code', async () => {
    const name = (await cidery(['host', 'ls', '-o', 'name'])).stdout.trim()
    const run = await cidery(['host', 'exec', name, '--', 'sh', '-c', 'echo from the host; exit 9'])
    expect([run.code, run.stdout]).toEqual([9, 'from the host\n'])
  })

  it('prints for each requirement of an agent whether it holds [003-49]', async () => {
    const run = await cidery(['agent', 'verify', '--state', join(state, 'agent'), '--json'])
    const { checks } = JSON.parse(run.stdout) as {
      readonly checks: readonly { readonly name: string; readonly state: string; readonly fix: string | null }[]
    }
    const states = new Map(checks.map((check) => [check.name, check.state]))
    for (const name of ['state directory is private', 'enrolled', 'key is private', 'one agent runs', 'controller answers'])
      expect([name, states.get(name)]).toEqual([name, 'passed'])
    expect(checks.filter((check) => check.state === 'failed').every((check) => check.fix !== null)).toBe(true)
    expect(run.code).toBe(checks.some((check) => check.state === 'failed') ? 1 : 0)
    const none = await cidery(['agent', 'verify', '--state', join(directory, 'no-agent')])
    expect(none.stdout).toMatch(/✗ FAILED.*no-agent/)
    expect(none.code).toBe(1)
  })

  it('ends with the exact code and the whole log though controller and agent are killed in the middle [002-89]', async () => {
    const lines = 60
    const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "line $i"; sleep 0.1; done; exit 23`
    const running = cidery(['run', ...network, '--', 'sh', '-c', script])
    await new Promise((resolve) => void setTimeout(resolve, 3_500))
    await end('SIGKILL')
    await start()
    const run = await running
    expect(run.stdout).toBe(Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join(''))
    expect(run.code).toBe(23)
  })
})
