import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { driftProblems, lockProblems } from '../../tools/check-lock.js'
import { root } from '../../tools/run.js'
import { seededCopy } from './seeded-copy.ts'
import type { SeededCopy } from './seeded-copy.ts'

const copies: SeededCopy[] = []

/** A copy with one sound file in it, so that only the seeded file can turn a step red. */
function copyWith(files: Readonly<Record<string, string>>): SeededCopy {
  const copy = seededCopy({ 'src/model/word.ts': "export const word = 'a'\n", ...files })
  copies.push(copy)
  return copy
}

afterEach(() => {
  for (const copy of copies.splice(0)) copy.remove()
})

describe('the lock check', () => {
  const optional = {
    '@x/bin-linux-x64-gnu': '1.0.0',
    '@x/bin-linux-arm64-gnu': '1.0.0',
    '@x/bin-darwin-x64': '1.0.0',
    '@x/bin-darwin-arm64': '1.0.0',
  }
  const binaries = Object.fromEntries(Object.keys(optional).map((name) => [`node_modules/${name}`, { version: '1.0.0' }]))
  const sound = { packages: { '': {}, 'node_modules/x': { version: '1.0.0', optionalDependencies: optional }, ...binaries } }

  it('is green when every platform has its binary', () => {
    expect(lockProblems(sound)).toEqual([])
  })

  it.each(Object.keys(optional))('is red without %s', (name) => {
    const packages: Record<string, unknown> = { ...sound.packages }
    delete packages[`node_modules/${name}`]
    expect(lockProblems({ packages })).toEqual([`x needs ${name}@1.0.0, which is not in package-lock.json`])
  })

  it('is red when a platform has no binary at all', () => {
    const { '@x/bin-darwin-arm64': _, ...rest } = optional
    const packages = { ...sound.packages, 'node_modules/x': { version: '1.0.0', optionalDependencies: rest } }
    expect(lockProblems({ packages })).toEqual(['x ships no binary for darwin-arm64'])
  })

  it('is red for another version than the wanted one', () => {
    const packages = { ...sound.packages, 'node_modules/@x/bin-darwin-x64': { version: '0.9.0' } }
    expect(lockProblems({ packages })).toEqual(['x needs @x/bin-darwin-x64@1.0.0; the lock has 0.9.0'])
  })

  it('is red for an empty lock', () => {
    expect(lockProblems({})).toHaveLength(1)
  })

  it('is red when package.json and the lock disagree, or a version is not pinned', () => {
    expect(driftProblems({ dependencies: { a: '1.0.1' } }, { packages: { '': { dependencies: { a: '1.0.0' } } } })).toHaveLength(1)
    expect(driftProblems({ dependencies: { a: '^1.0.0' } }, { packages: { '': { dependencies: { a: '^1.0.0' } } } })).toHaveLength(1)
  })
})

describe('the format check', () => {
  it('is red for a badly formatted file and green without it', async () => {
    const copy = copyWith({ 'src/model/ugly.ts': 'export const  ugly = "a" ;\n' })
    const red = await copy.run(['oxfmt', '--check', 'src'])
    expect(red.output).toContain('ugly.ts')
    expect(red.code).not.toBe(0)
    copy.write('src/model/ugly.ts', "export const ugly = 'a'\n")
    expect((await copy.run(['oxfmt', '--check', 'src'])).code).toBe(0)
  })
})

describe('the types of the pure core', () => {
  it.each([
    ["import { readFileSync } from 'node:fs'\nexport const read = readFileSync\n", 'a Node module'],
    ['export const home = process.env\n', 'the process'],
    ["export const page = fetch('http://localhost')\n", 'the network'],
    ['export const timer = setTimeout(() => undefined, 5)\n', 'a timer'],
  ])('are red for %s', async (text) => {
    const copy = copyWith({ 'src/decide/impure.ts': text })
    const { code, output } = await copy.run(['tsc', '-p', 'tsconfig.pure.json'])
    expect(output).toContain('src/decide/impure.ts')
    expect(code).not.toBe(0)
  })

  it('are green for a function of its arguments', async () => {
    const copy = copyWith({ 'src/decide/pure.ts': 'export function double(n: number): number {\n  return 2 * n\n}\n' })
    expect(await copy.run(['tsc', '-p', 'tsconfig.pure.json'])).toEqual({ code: 0, output: '' })
  })
})

describe('the types', () => {
  it.each(['export const count: number = "a"\n', 'export enum State {\n  on,\n}\n', 'export const first: string = [1].map(String)[0]\n'])(
    'are red for %s',
    async (text) => {
      const copy = copyWith({ 'src/record/wrong.ts': text })
      const { code, output } = await copy.run(['tsc', '-p', 'tsconfig.check.json'])
      expect(output).toContain('src/record/wrong.ts')
      expect(code).not.toBe(0)
    },
  )
})

describe('the folder rules', () => {
  const seeds: readonly (readonly [string, string, string])[] = [
    ['model-reads-only-upstream', 'src/model/up.ts', "export { port } from '../ports/port.ts'\n"],
    ['decide-reads-only-upstream', 'src/decide/up.ts', "export { port } from '../ports/port.ts'\n"],
    ['ports-reads-only-upstream', 'src/ports/up.ts', "export { made } from '../drivers/engines/user/made.ts'\n"],
    ['drivers-reads-only-upstream', 'src/drivers/engines/user/up.ts', "export { row } from '../../../record/row.ts'\n"],
    ['drivers-are-islands', 'src/drivers/engines/tart/up.ts', "export { made } from '../user/made.ts'\n"],
    ['drivers-are-islands', 'src/drivers/ci/builtin/up.ts', "export { made } from '../../engines/user/made.ts'\n"],
    ['drivers-of-one-port', 'src/drivers/ci/up.ts', "export { made } from '../engines/user/made.ts'\n"],
    ['observe-reads-only-upstream', 'src/observe/up.ts', "export { row } from '../record/row.ts'\n"],
    ['act-reads-only-upstream', 'src/act/up.ts', "export { row } from '../record/row.ts'\n"],
    ['record-reads-only-upstream', 'src/record/up.ts', "export { step } from '../act/step.ts'\n"],
    ['serve-reads-only-upstream', 'src/serve/up.ts', "export { step } from '../act/step.ts'\n"],
    ['only-main-wires-drivers', 'src/loop/up.ts', "export { made } from '../drivers/engines/user/made.ts'\n"],
    ['cli-reads-only-upstream', 'src/cli/up.ts', "export { row } from '../record/row.ts'\n"],
    ['cli-reads-only-upstream', 'src/cli/type-only.ts', "import type { Row } from '../record/row.ts'\nexport type Mine = Row\n"],
    ['every-stage-is-known', 'src/main/plumbs.ts', "export { late } from '../plumbing/late.ts'\n"],
    ['model-knows-only-zod', 'src/model/package.ts', "export { parse } from 'yaml'\n"],
    ['model-knows-only-zod', 'src/decide/node.ts', "export { join } from 'node:path'\n"],
    ['product-never-imports-tests', 'src/main/tests.ts', "export { double } from '../../test/double.ts'\n"],
    ['no-dev-deps-in-src', 'src/main/checks.ts', "export { assert } from 'fast-check'\n"],
    ['no-circular', 'src/act/around.ts', "export { step } from './circle.ts'\n"],
    ['not-to-unresolvable', 'src/main/lost.ts', "export { gone } from './gone.ts'\n"],
  ]
  const sound = {
    'src/ports/port.ts': "import { word } from '../model/word.ts'\nexport const port = word\n",
    'src/drivers/engines/user/made.ts': "import { parts } from '../parts.ts'\nexport const made = parts\n",
    'src/drivers/engines/parts.ts': "import { port } from '../../ports/port.ts'\nexport const parts = port\n",
    'src/record/row.ts': "import { port } from '../ports/port.ts'\nexport type Row = string\nexport const row = port\n",
    'src/act/step.ts': "import { turn } from './turn.ts'\nexport const step = turn\n",
    'src/act/turn.ts': "import type { word } from '../model/word.ts'\nexport const turn: typeof word = 'a'\n",
    'src/plumbing/late.ts': 'export const late = 1\n',
    'test/double.ts': 'export const double = 1\n',
  }

  it('are red for each seeded import, and only for those', async () => {
    const seeded = Object.fromEntries(seeds.map(([, file, text]) => [file, text]))
    const circle = {
      'src/act/circle.ts':
        "import { turn } from './turn.ts'\nimport { step as again } from './around.ts'\nexport const step = [turn, again]\n",
    }
    const { code, output } = await copyWith({ ...sound, ...seeded, ...circle }).run(['node', 'tools/check-deps.js'])
    const said = output.split('\n').flatMap((line) => /^([a-z-]+): (\S+) →/.exec(line)?.slice(1, 3).join(' ') ?? [])
    expect(seeds.map(([rule, file]) => `${rule} ${file}`).filter((seed) => !said.includes(seed))).toEqual([])
    expect(
      said.filter(
        (line) => !(line.split(' ')[1] ?? '').match(/\/(?:up|type-only|plumbs|package|node|tests|checks|around|circle|lost)\.ts$/),
      ),
    ).toEqual([])
    expect(code).toBe(1)
  })

  it('are green for the sound files alone', async () => {
    const { code, output } = await copyWith(sound).run(['node', 'tools/check-deps.js'])
    expect(output).toContain('8 modules')
    expect(code).toBe(0)
  })

  it('are red when no module was read', async () => {
    const copy = seededCopy({ 'src/readme.txt': 'nothing here\n' })
    copies.push(copy)
    const { code, output } = await copy.run(['node', 'tools/check-deps.js'])
    expect(output).toContain('checked nothing')
    expect(code).toBe(1)
  })
})

describe('the dead code check', () => {
  it('is red for an export and a file that nobody uses', async () => {
    const copy = copyWith({
      'src/main/cidery.ts': "import { used } from '../record/partly.ts'\nconsole.log(used)\n",
      'src/record/partly.ts': 'export const used = 1\nexport const unused = 2\n',
      'src/record/lost.ts': 'export const lost = 1\n',
    })
    const { code, output } = await copy.run(['knip', '--no-progress', '--no-config-hints', '--include', 'files,exports'])
    expect(output).toContain('src/record/lost.ts')
    expect(output).toMatch(/unused.*partly\.ts/)
    expect(code).not.toBe(0)
  })
})

describe('the requirements check', () => {
  it('is red for a tag without a row, a changed row and a lost row', async () => {
    const copy = copyWith({ 'src/record/rows.test.ts': "it('does it [003-99]', () => undefined)\n" })
    cpSync(join(root, 'docs', 'requirements.md'), join(copy.folder, 'docs', 'requirements.md'))
    const unknown = await copy.run(['node', 'tools/requirements.js', '--check'])
    expect(unknown.output).toContain('src/record/rows.test.ts names [003-99]')
    expect(unknown.code).toBe(1)
    copy.write('src/record/rows.test.ts', "it('does it [003-10]', () => undefined)\n")
    expect((await copy.run(['node', 'tools/requirements.js', '--check'])).code).toBe(0)
    const table = readFileSync(join(root, 'docs', 'requirements.md'), 'utf8')
    copy.write('docs/requirements.md', table.replace('the code path does not exist', 'the code path is rare'))
    const changed = await copy.run(['node', 'tools/requirements.js', '--check'])
    expect(changed.output).toContain('the rows are not those of the fingerprint')
    copy.write('docs/requirements.md', table.replace(/^\| 003-11 .*\n/m, ''))
    const lost = await copy.run(['node', 'tools/requirements.js', '--check'])
    expect(lost.output).toContain('group 003 has 48 rows instead of 49')
  })
})

describe('npm run check', () => {
  it('prints a table with times, names the red step and ends with 1', async () => {
    const copy = copyWith({ 'src/model/ugly.ts': 'export const  ugly = "a" ;\n' })
    const { code, output } = await copy.run(['node', 'tools/check.js', 'format', 'lock'])
    expect(output).toMatch(/^format +red +\d+\.\d s$/m)
    expect(output).toMatch(/^lock +ok +\d+\.\d s$/m)
    expect(output).toContain('Red: format.')
    expect(code).toBe(1)
  })

  it('refuses a step that it does not know and lists those it does', async () => {
    const { code, output } = await copyWith({}).run(['node', 'tools/check.js', 'lnt'])
    expect(output).toContain('There is no step "lnt". Steps: tests,')
    expect(code).toBe(2)
  })
})
