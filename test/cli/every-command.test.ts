import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { isGroup } from '../../src/cli/declare.ts'
import type { CommandDeclaration } from '../../src/cli/declare.ts'
import { tree } from '../../src/cli/tree.ts'
import { makeManifest, writeArchive } from '../../tools/release/archive.js'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

interface Case {
  /** Words after the command that make it succeed against the double. */
  readonly args: readonly string[]
  readonly stdin?: string
  /** It never talks to a controller. */
  readonly local?: true
  /** It starts a process that goes on, or needs a terminal: only its help and its options are looked at here. */
  readonly helpOnly?: string
}

const directory = await mkdtemp(join(tmpdir(), 'cidery-every-command-'))
const spec = join(directory, 'cidery.yaml')
const archive = join(directory, 'cidery-9.0.0.tar.gz')

const noImages = 'the double serves no images; test/vm/image-life.test.ts and test/controller/images-http.test.ts have them'
const thisHost = 'looks at or changes the images of this host'

/** One entry for each command; a command that is missing here is red. */
const cases: Readonly<Record<string, Case>> = {
  up: { args: [], helpOnly: 'starts a controller and an agent' },
  'controller run': { args: [], helpOnly: 'starts a controller' },
  'state copy': { args: [], helpOnly: 'needs a state and a database' },
  'controller info': { args: [] },
  'agent run': { args: [], helpOnly: 'starts an agent' },
  'agent enrol': { args: [], helpOnly: 'needs a controller with a token' },
  'agent install': { args: [], helpOnly: 'changes this machine' },
  'agent uninstall': { args: [], helpOnly: 'changes this machine' },
  'agent status': { args: [], helpOnly: 'looks at this machine' },
  'agent upgrade': { args: ['mini-1', '--from', archive] },
  'agent verify': { args: [], helpOnly: 'looks at this machine' },
  run: { args: ['--detach', '--', 'true'] },
  'job ls': { args: [] },
  'job show': { args: ['JOB'] },
  'job logs': { args: ['JOB'] },
  'job submit': { args: ['--', 'true'] },
  'job cancel': { args: ['JOB'] },
  'job rerun': { args: ['JOB'] },
  'job explain': { args: ['JOB'] },
  'job artifacts': { args: ['JOB'] },
  'job export': { args: [] },
  'queue ls': { args: [] },
  'queue show': { args: ['default'] },
  'secret set': { args: ['KEY'], stdin: 'value\n' },
  'secret ls': { args: [] },
  'secret rm': { args: ['API_TOKEN', '--yes'] },
  'test-build': { args: [] },
  'host ls': { args: [] },
  'host show': { args: ['mini-1'] },
  'host add': { args: [] },
  'host cordon': { args: ['mini-1'] },
  'host uncordon': { args: ['mini-1'] },
  'host rotate-key': { args: ['mini-1'] },
  'host drain': { args: ['mini-1'] },
  'host retire': { args: ['mini-2', '--yes'] },
  'host exec': { args: ['mini-1', '--', 'true'] },
  'host probe': { args: ['mini-1'] },
  'host clean': { args: ['mini-1'] },
  'host reboot': { args: ['mini-1', '--yes'] },
  'pool ls': { args: [] },
  'pool show': { args: ['default'] },
  'sandbox ls': { args: [] },
  'sandbox show': { args: ['try'] },
  'sandbox create': { args: ['mine'] },
  'sandbox start': { args: ['try'] },
  'sandbox stop': { args: ['try'] },
  'sandbox restart': { args: ['try'] },
  'sandbox reset': { args: ['try', '--yes'] },
  'sandbox rm': { args: ['mine', '--yes'] },
  'sandbox snapshot': { args: ['try', 'before'] },
  'sandbox logs': { args: ['try'] },
  'sandbox ssh': { args: ['try'], helpOnly: 'needs a terminal' },
  'sandbox exec': { args: ['try', '--', 'true'], helpOnly: 'the double has no streams; test/cli/remote-command.test.ts has' },
  'operation ls': { args: [] },
  'operation show': { args: ['OPERATION'] },
  'operation kill': { args: ['OPERATION'] },
  'image show': { args: [], local: true },
  'image lock': { args: [], local: true },
  'image ls': { args: [], helpOnly: noImages },
  'image check': { args: [], helpOnly: noImages },
  'image status': { args: [], helpOnly: noImages },
  'image put': { args: [], helpOnly: noImages },
  'image build': { args: [], helpOnly: noImages },
  'image builds': { args: [], helpOnly: noImages },
  'image logs': { args: [], helpOnly: noImages },
  'image promote': { args: [], helpOnly: noImages },
  'image rollback': { args: [], helpOnly: noImages },
  'image force-ready': { args: [], helpOnly: noImages },
  'image force-not-ready': { args: [], helpOnly: noImages },
  'image clear-force': { args: [], helpOnly: noImages },
  'image resolve': { args: [], helpOnly: thisHost },
  'image pull': { args: [], helpOnly: thisHost },
  'image push': { args: [], helpOnly: thisHost },
  'image verify': { args: [], helpOnly: thisHost },
  'image rm': { args: [], helpOnly: thisHost },
  'image gc': { args: [], helpOnly: thisHost },
  'generate packer': { args: [], local: true },
  'generate github-actions': { args: [], local: true },
  plan: { args: [] },
  apply: { args: ['--file', spec, '--yes'] },
  explain: { args: ['mini-1'] },
  simulate: { args: ['--sample', '5'], local: true },
  doctor: { args: [] },
  'audit ls': { args: [] },
  'audit verify': { args: [] },
  'audit export': { args: [] },
  'token create': { args: ['ci', '--scope', 'read'] },
  'token ls': { args: [] },
  'token revoke': { args: ['tok_1'] },
  'user ls': { args: [] },
  'user create': { args: ['alice', '--role', 'viewer'], stdin: 'correct horse battery\n' },
  'user update': { args: ['admin', '--role', 'admin'] },
  'user rm': { args: ['admin', '--yes'] },
  'state info': { args: [] },
  completion: { args: ['bash'], local: true },
  version: { args: [], local: true },
  help: { args: [], local: true },
  __complete: { args: ['host'], local: true },
}

interface Known {
  readonly path: string
  readonly declaration: CommandDeclaration
}

const commands: Known[] = []
for (const entry of tree) {
  const node = await entry.load()
  if (isGroup(node)) commands.push(...node.verbs.map((declaration) => ({ path: `${entry.name} ${declaration.name}`, declaration })))
  else commands.push({ path: entry.name, declaration: node })
}
const talking = commands.filter(({ path }) => cases[path]?.local !== true && cases[path]?.helpOnly === undefined)
const viewing = talking.filter(({ declaration }) => declaration.prints === 'view')

let double: ApiDouble
const ids = { job: '', operation: '' }

beforeAll(async () => {
  await writeFile(spec, 'version: 1\nqueues:\n  ios: {}\n')
  await writeArchive(archive, releaseFor('darwin-arm64'))
  double = await startApiDouble()
  const squares = Array.from({ length: 1000 }, (_, index) => `${(index + 1) ** 2}\n`).join('')
  double.state.play = () => ({
    attempts: [
      { pieces: ['made 1000 lines\n'], outcome: { kind: 'exited', code: 0 }, artifacts: [{ path: 'out/squares.txt', content: squares }] },
    ],
  })
  ids.job = (await cidery(['run', '--', 'true'])) && [...double.state.jobs.keys()].at(-1)!
  await cidery(['host', 'exec', 'mini-1', '--', 'true'])
  ids.operation = [...double.state.operations.keys()].at(-1)!
})

afterAll(async () => {
  await double.close()
  await rm(directory, { recursive: true, force: true })
})

/** A release of one file. */
function releaseFor(platform: string) {
  const files = [['LICENSE', join(import.meta.dirname, '../../LICENSE')]]
  const manifest = makeManifest({ version: '9.0.0', commit: null, platform, node: '26.10.0', files })
  return { folder: 'cidery', manifest, files, mtime: new Date(0) }
}

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { ...options, env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token, ...options.env } })
}

/** The whole line of a case: the command, options, then its words. */
function lineOf(path: string, options: readonly string[] = []): string[] {
  const words = (cases[path]?.args ?? []).map((word) => (word === 'JOB' ? ids.job : word === 'OPERATION' ? ids.operation : word))
  return [...path.split(' '), ...options, ...words]
}

function withStdin(path: string): CliOptions {
  const stdin = cases[path]?.stdin
  return stdin === undefined ? {} : { stdin }
}

describe('every command', () => {
  it('is tried here', () => {
    expect(Object.keys(cases).toSorted()).toEqual(commands.map(({ path }) => path).toSorted())
  })

  it.each(commands)('$path shows examples before anything else in its help', async ({ path, declaration }) => {
    const run = await cidery([...path.split(' '), '--help'])
    expect(run.code).toBe(0)
    expect(run.stderr).toBe('')
    const lines = run.stdout.split('\n')
    expect(lines[2]).toBe('Examples:')
    expect(declaration.examples.length).toBeGreaterThan(0)
    for (const [line] of declaration.examples) expect(run.stdout).toContain(`  ${line}`)
    expect(run.stdout.indexOf('Usage:')).toBeGreaterThan(run.stdout.indexOf('Examples:'))
  })

  it.each(commands)('$path refuses an option that it does not have with exit code 2', async ({ path }) => {
    const run = await cidery([...path.split(' '), '--no-such-option'])
    expect(run.code).toBe(2)
    expect(run.stdout).toBe('')
    expect(run.stderr).toContain('--no-such-option')
  })

  it.each(viewing)('$path prints JSON of schema version 1', async ({ path }) => {
    const run = await cidery(lineOf(path, ['--output', 'json']), withStdin(path))
    expect(run.stderr).not.toContain('✗')
    expect(run.code).toBe(0)
    expect(JSON.parse(run.stdout)).toMatchObject({ schemaVersion: 1 })
  })

  it.each(viewing.filter(({ path }) => /ls$|show$|^plan$|^doctor$|^explain$|info$|verify$/.test(path)))(
    '$path prints the same as YAML, as names and as a table',
    async ({ path }) => {
      const print = (output: string) => cidery(lineOf(path, ['--output', output]))
      const [json, yaml, name] = [await print('json'), await print('yaml'), await print('name')]
      expect(Object.keys(parseYaml(yaml.stdout))).toEqual(Object.keys(JSON.parse(json.stdout)))
      for (const run of [name, await print('table'), await print('wide')]) {
        expect(run.code).toBe(0)
        expect(run.stdout).not.toBe('')
        expect(run.stdout).not.toContain('\u001B')
      }
      for (const line of name.stdout.trimEnd().split('\n')) expect(line).toMatch(/^\S+$/)
    },
  )

  it.each(talking)('$path asks nothing when there is no terminal', async ({ path }) => {
    const run = await cidery(lineOf(path), withStdin(path))
    expect(`${run.code} ${run.stderr}`).toMatch(/^0 /)
    expect(run.stderr).not.toMatch(/\[y\/N\]|\(not shown\)/)
  })

  it.concurrent.each(talking)('$path says clearly that the controller does not answer', async ({ path, declaration }) => {
    const run = await runCli(lineOf(path), { ...withStdin(path), env: { CIDERY_URL: 'http://127.0.0.1:1', CIDERY_TOKEN: 'x' } })
    const said = path === 'doctor' ? run.stdout : run.stderr
    expect(said).toContain('the controller at http://127.0.0.1:1 did not answer')
    expect(said).toContain('next: ')
    const expected = path === 'doctor' ? 2 : declaration.passThrough === true ? 125 : 1
    expect(run.code).toBe(expected)
  })

  it.each(talking)('$path says that the credential is refused, with exit code 4', async ({ path, declaration }) => {
    const run = await cidery(lineOf(path), { ...withStdin(path), env: { CIDERY_TOKEN: 'cidery_tok_wrong' } })
    const expected = path === 'doctor' ? 2 : declaration.passThrough === true ? 125 : 4
    expect(run.code).toBe(expected)
    expect(`${run.stdout}${run.stderr}`).toContain('CIDERY_TOKEN')
  })

  it('never puts the credential into what it prints', async () => {
    for (const { path } of viewing.slice(0, 8)) {
      const run = await cidery(lineOf(path, ['--output', 'json']), withStdin(path))
      expect(`${run.stdout}${run.stderr}`).not.toContain(double.token)
    }
  })
})
