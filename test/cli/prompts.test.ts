import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

let double: ApiDouble
let directory: string

beforeEach(async () => {
  double = await startApiDouble()
  directory = await mkdtemp(join(tmpdir(), 'cidery-prompts-test-'))
  await writeFile(join(directory, 'cidery.yaml'), 'version: 1\nqueues:\n  ios: {}\n')
  await writeFile(join(directory, 'bad.yaml'), 'version: 1\npools:\n  default:\n    engines:\n      user: { slots: 0 }\n')
})

afterEach(async () => {
  await double.close()
  await rm(directory, { recursive: true, force: true })
})

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { cwd: directory, ...options, env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token, ...options.env } })
}

describe('apply', () => {
  it('shows what changes and applies it after a yes', async () => {
    const run = await cidery(['apply', '-f', 'cidery.yaml'], { typed: ['y'] })
    expect(run.stdout).toContain('+ queues.ios')
    expect(run.stdout).toContain('2 hosts get a new queue')
    expect(run.stdout).toContain('applied as generation 2')
    expect(run.code).toBe(0)
  })

  it('changes nothing after a no, and ends with 130', async () => {
    const run = await cidery(['apply', '-f', 'cidery.yaml'], { typed: ['n'] })
    expect(run.code).toBe(130)
    expect(double.state.specGeneration).toBe(1)
  })

  it.each([
    ['without a terminal', {}, []],
    ['with --no-input', { typed: ['y'] }, ['--no-input']],
    ['with CIDERY_PROMPT_DISABLED', { typed: ['y'], env: { CIDERY_PROMPT_DISABLED: '1' } }, []],
  ] as const)('asks nobody and changes nothing %s', async (_name, options, words) => {
    const run = await cidery(['apply', '-f', 'cidery.yaml', ...words], options)
    expect(run.code).toBe(2)
    expect(run.stderr).toContain('--yes')
    expect(double.state.specGeneration).toBe(1)
  })

  it('names file, line, field and what is accepted when the spec is wrong', async () => {
    const run = await cidery(['apply', '-f', 'bad.yaml', '--yes'])
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('cidery.yaml:5:9 pools.default.engines.user.slots: must be above 0 (accepted: 1…1000)')
  })

  it('is done when only the answer got lost', async () => {
    let lost = 0
    double.faults.loseAnswer = ({ method, body }) => method === 'PUT' && !(body as { readonly dryRun: boolean }).dryRun && (lost += 1) === 1
    const run = await cidery(['apply', '-f', 'cidery.yaml', '--yes'])
    expect(run.code).toBe(0)
    expect(double.state.specGeneration).toBe(2)
  })
})

describe('plan', () => {
  it('ends with 3 when a spec would change something, and changes nothing', async () => {
    expect((await cidery(['plan', '-f', 'cidery.yaml', '--exit-code'])).code).toBe(3)
    expect((await cidery(['plan', '-f', 'cidery.yaml'])).code).toBe(0)
    expect((await cidery(['plan', '-f', '-', '--exit-code'], { stdin: double.state.specSource })).code).toBe(0)
    expect(double.state.specGeneration).toBe(1)
  })
})

describe('secrets', () => {
  const sent = () => double.requests.filter(({ method }) => method === 'PUT').map(({ body }) => (body as { readonly value: string }).value)

  it('come from standard input without its last line break, from a file as they are, or are typed unseen', async () => {
    await writeFile(join(directory, 'key'), '-----BEGIN-----\nx\n-----END-----\n')
    await cidery(['secret', 'set', 'A'], { stdin: 'va"l\nue\n' })
    await cidery(['secret', 'set', 'B', '--raw'], { stdin: 'value\n' })
    await cidery(['secret', 'set', 'C', '--from-file', 'key'])
    const typed = await cidery(['secret', 'set', 'D'], { typed: ['hunter2 hunter2'] })
    expect(sent()).toEqual(['va"l\nue', 'value\n', '-----BEGIN-----\nx\n-----END-----\n', 'hunter2 hunter2'])
    expect(`${typed.stdout}${typed.stderr}`).not.toContain('hunter2')
  })

  it('are refused as words of the command line, when empty, and when they are no text', async () => {
    expect((await cidery(['secret', 'set', 'A', 'value'])).code).toBe(2)
    expect((await cidery(['secret', 'set', 'A'], { stdin: '' })).code).toBe(2)
    expect((await cidery(['secret', 'set', 'A'], { stdin: new Uint8Array([0xff, 0xfe]) })).code).toBe(2)
    expect(sent()).toEqual([])
  })
})

describe('passwords', () => {
  it('are typed twice', async () => {
    expect(
      (await cidery(['user', 'create', 'alice', '--role', 'viewer'], { typed: ['correct horse battery', 'correct horse battery'] })).code,
    ).toBe(0)
    const differ = await cidery(['user', 'create', 'bob', '--role', 'viewer'], { typed: ['correct horse battery', 'something else here'] })
    expect(differ.code).toBe(2)
  })
})

describe('names', () => {
  it.each([
    [['host', 'show', 'mimi-1'], 'did you mean mini-1?'],
    [['queue', 'show', 'defualt'], 'did you mean default?'],
    [['sandbox', 'show', 'tri'], 'did you mean try?'],
    [['explain', 'mini_1'], 'did you mean mini-1?'],
    [['user', 'rm', 'amdin', '--yes'], 'did you mean admin?'],
    [['host', 'show', 'completely-different'], 'cidery host ls'],
  ])('%j is answered with the nearest one', async (words, hint) => {
    const run = await cidery(words)
    expect(run.code).toBe(1)
    expect(run.stderr).toContain(hint)
  })
})

describe('a host that is lost', () => {
  it('is not operated unless that is asked for', async () => {
    const [host] = [...double.state.hosts.values()].slice(0, 1)
    if (host === undefined) throw new Error('the double has no host')
    double.state.hosts.set(host.id, { ...host, state: 'lost' })
    const refused = await cidery(['host', 'exec', host.name, '--', 'true'])
    expect(refused.code).toBe(125)
    expect(refused.stderr).toContain('--queue-if-lost')
    expect((await cidery(['host', 'exec', '--queue-if-lost', host.name, '--', 'true'])).code).toBe(0)
  })
})

describe('colour', () => {
  const coloured = async (env: Readonly<Record<string, string>>, typed?: readonly string[]) =>
    (await cidery(['host', 'ls'], { env, ...(typed === undefined ? {} : { typed }) })).stdout.includes('\u001B[')

  it('is used on a terminal, unless somebody does not want it', async () => {
    expect(await coloured({}, [])).toBe(true)
    expect(await coloured({ NO_COLOR: '1' }, [])).toBe(false)
    expect(await coloured({ CIDERY_NO_COLOR: '1' }, [])).toBe(false)
    expect(await coloured({ CLICOLOR: '0' }, [])).toBe(false)
    expect(await coloured({ TERM: 'dumb' }, [])).toBe(false)
    expect((await cidery(['host', 'ls', '--no-color'], { typed: [] })).stdout).not.toContain('\u001B[')
  })

  it('is not used in files and pipes, unless somebody wants it', async () => {
    expect(await coloured({})).toBe(false)
    expect(await coloured({ CLICOLOR_FORCE: '1' })).toBe(true)
    expect(await coloured({ CLICOLOR_FORCE: '1', NO_COLOR: '1' })).toBe(false)
  })
})

describe('names that want to fool the terminal', () => {
  it('are shown without what could change it', async () => {
    await cidery(['run', '--detach', '--name', 'evil\u001B]0;title\u0007\u001B[2J\nsecond\u202Eline', '--', 'true'])
    const run = await cidery(['job', 'ls'], { typed: [], columns: 160 })
    const [, line = ''] = run.stdout.split('\n')
    expect(line).toContain('evil second line')
    expect(run.stdout).not.toContain('title')
    expect(run.stdout).not.toContain('\u001B[2J')
  })
})
