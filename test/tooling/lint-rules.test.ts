import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../tools/run.js'
import { seededCopy } from './seeded-copy.ts'

interface Sample {
  readonly rule: string
  readonly file: string
  readonly text: string
}

const bad: readonly Sample[] = [
  { rule: 'house(clock-by-port)', file: 'src/loop/date-now.ts', text: 'export const at = Date.now()\n' },
  { rule: 'house(clock-by-port)', file: 'src/loop/new-date.ts', text: 'export const at = new Date()\n' },
  { rule: 'house(clock-by-port)', file: 'src/loop/date-passed.ts', text: 'export const clock = [Date]\n' },
  { rule: 'house(clock-by-port)', file: 'src/loop/performance.ts', text: 'export const at = performance.now()\n' },
  {
    rule: 'house(clock-by-port)',
    file: 'src/loop/timeout.ts',
    text: 'export function later(run: () => void): void {\n  setTimeout(run, 5)\n}\n',
  },
  {
    rule: 'house(clock-by-port)',
    file: 'src/loop/interval.ts',
    text: 'export const start = (run: () => void): unknown => setInterval(run, 5)\n',
  },
  { rule: 'house(clock-by-port)', file: 'src/loop/abort.ts', text: 'export const signal = AbortSignal.timeout(5)\n' },
  { rule: 'house(clock-by-port)', file: 'src/loop/global-this.ts', text: 'export const run = globalThis.setTimeout\n' },
  {
    rule: 'house(clock-by-port)',
    file: 'src/loop/promises.ts',
    text: "import { setTimeout as sleep } from 'node:timers/promises'\nexport const wait = () => sleep(5)\n",
  },
  { rule: 'house(clock-by-port)', file: 'src/loop/hrtime.ts', text: 'export const at = process.hrtime()\n' },
  { rule: 'house(randomness-by-port)', file: 'src/record/math.ts', text: 'export const dice = Math.random()\n' },
  { rule: 'house(randomness-by-port)', file: 'src/record/uuid.ts', text: 'export const id = crypto.randomUUID()\n' },
  {
    rule: 'house(randomness-by-port)',
    file: 'src/record/bytes.ts',
    text: "import { randomBytes } from 'node:crypto'\nexport const bytes = randomBytes(5)\n",
  },
  {
    rule: 'house(randomness-by-port)',
    file: 'src/record/whole.ts',
    text: "import * as c from 'node:crypto'\nexport const bytes = c.randomBytes(5)\n",
  },
  {
    rule: 'house(randomness-by-port)',
    file: 'src/serve/password.ts',
    text: "import { scryptSync } from 'node:crypto'\nexport const hash = scryptSync('a', 'b', 8)\n",
  },
  { rule: 'house(outside-by-port)', file: 'src/cli/fetch.ts', text: "export const page = () => fetch('http://localhost')\n" },
  { rule: 'house(outside-by-port)', file: 'src/cli/env.ts', text: "export const home = process.env['HOME']\n" },
  {
    rule: 'house(outside-by-port)',
    file: 'src/act/spawn.ts',
    text: "import { spawn } from 'node:child_process'\nexport const run = () => spawn('true')\n",
  },
  { rule: 'house(pure-core)', file: 'src/decide/console.ts', text: "export function look(): void {\n  console.log('a')\n}\n" },
  { rule: 'house(pure-core)', file: 'src/decide/node.ts', text: "import { join } from 'node:path'\nexport const path = join('a', 'b')\n" },
  { rule: 'house(pure-core)', file: 'src/model/package.ts', text: "import { parse } from 'yaml'\nexport const read = parse\n" },
  {
    rule: 'house(pure-core)',
    file: 'src/decide/state.ts',
    text: 'let count = 0\nexport const next = (): number => {\n  count += 1\n  return count\n}\n',
  },
  {
    rule: 'house(pure-core)',
    file: 'src/decide/waits.ts',
    text: 'export async function wait(what: Promise<void>): Promise<void> {\n  await what\n}\n',
  },
  { rule: 'house(file-names)', file: 'src/record/utils.ts', text: 'export const a = 1\n' },
  { rule: 'house(file-names)', file: 'src/record/helpers/times.ts', text: 'export const a = 1\n' },
  { rule: 'house(file-names)', file: 'src/record/common/times.ts', text: 'export const a = 1\n' },
  { rule: 'house(file-names)', file: 'src/record/misc.test.ts', text: 'export const a = 1\n' },
  { rule: 'house(file-names)', file: 'src/record/JobRows.ts', text: 'export const a = 1\n' },
  { rule: 'house(no-mocks)', file: 'src/record/mock.test.ts', text: "import { vi } from 'vitest'\nvi.mock('./jobs.ts')\n" },
  { rule: 'house(no-mocks)', file: 'src/record/do-mock.test.ts', text: "import { vi } from 'vitest'\nvi.doMock('./jobs.ts')\n" },
  {
    rule: 'house(catch-says-why)',
    file: 'src/record/catch.ts',
    text: 'export function quiet(run: () => void): void {\n  try {\n    run()\n  } catch {}\n}\n',
  },
  {
    rule: 'house(catch-says-why)',
    file: 'src/record/promise.ts',
    text: 'export const quiet = (it: Promise<void>): Promise<void> => it.catch(() => {})\n',
  },
  {
    rule: 'house(web-is-a-client)',
    file: 'web/src/reach.ts',
    text: "import { jobs } from '../../src/record/jobs.ts'\nexport const all = jobs\n",
  },
  {
    rule: 'eslint(max-lines)',
    file: 'src/record/long.ts',
    text: Array.from({ length: 301 }, (_, i) => `export const a${i} = ${i}\n`).join(''),
  },
  {
    rule: 'eslint(max-params)',
    file: 'src/record/params.ts',
    text: 'export const sum = (a: number, b: number, c: number, d: number): number => a + b + c + d\n',
  },
  {
    rule: 'eslint(complexity)',
    file: 'src/record/complex.ts',
    text: `export function pick(n: number): number {\n${Array.from({ length: 12 }, (_, i) => `  if (n === ${i}) return ${i + 1}\n`).join('')}  return 0\n}\n`,
  },
  {
    rule: 'typescript(no-floating-promises)',
    file: 'src/record/floating.ts',
    text: 'const work = async (): Promise<void> => {}\nexport function start(): void {\n  work()\n}\n',
  },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    file: 'src/decide/switch.ts',
    text: "export function word(state: 'on' | 'off'): string {\n  switch (state) {\n    case 'on':\n      return 'yes'\n  }\n  return 'no'\n}\n",
  },
  { rule: 'typescript(no-explicit-any)', file: 'src/record/any.ts', text: 'export const loose = (a: any): string => String(a)\n' },
  {
    rule: 'typescript(no-misused-promises)',
    file: 'src/record/misused.ts',
    text: 'export const ready = (it: Promise<boolean>): string => (it ? "a" : "b")\n',
  },
]

const good: Readonly<Record<string, string>> = {
  'src/main/wiring.ts': "export const clock = { now: () => Date.now(), id: () => crypto.randomUUID(), home: process.env['HOME'] }\n",
  'src/drivers/ci/fetching.ts':
    "export const page = (): Promise<Response> => fetch('http://localhost', { signal: AbortSignal.timeout(5) })\n",
  'src/loop/given-clock.ts':
    "import { createHash } from 'node:crypto'\ninterface Clock {\n  now(): number\n}\nexport const text = (clock: Clock): string => new Date(clock.now()).toISOString()\nexport const digest = (text: string): string => createHash('sha256').update(text).digest('hex')\n",
  'src/loop/own-names.ts':
    'interface Timers {\n  setTimeout(run: () => void): void\n}\nexport function later(timers: Timers, fetch: () => void): void {\n  timers.setTimeout(fetch)\n}\n',
  'src/serve/net-words.ts':
    "import { isIP } from 'node:net'\nimport type { IncomingMessage } from 'node:http'\nexport const known = (request: IncomingMessage): boolean => isIP(request.url ?? '') > 0\n",
  'src/decide/pure.ts':
    "import { z } from 'zod'\nexport const Size = z.int()\nexport function double(n: number): number {\n  return 2 * n\n}\n",
  'src/record/caught.ts':
    'export function quiet(run: () => void): void {\n  try {\n    run()\n  } catch {\n    // Nobody waits for the answer.\n  }\n}\n',
  'src/record/clock.test.ts':
    "import { expect, it } from 'vitest'\nit('may read the clock in a test', () => {\n  expect(Date.now()).toBeGreaterThan(0)\n})\n",
  'web/src/words.ts': "import type { Word } from '../../src/model/word.ts'\nexport const word = (it: Word): string => it\n",
  'src/model/word.ts': 'export type Word = string\n',
}

interface Diagnostic {
  readonly code: string
  readonly message: string
  readonly filename: string
}

let found: readonly Diagnostic[] = []
let remove = (): void => undefined

beforeAll(async () => {
  const copy = seededCopy({ ...good, ...Object.fromEntries(bad.map(({ file, text }) => [file, text])) })
  remove = copy.remove
  const { output } = await copy.run(['oxlint', '--format=json', 'src', 'web'])
  found = (JSON.parse(output.slice(output.indexOf('{'))) as { diagnostics: Diagnostic[] }).diagnostics
}, 60_000)

afterAll(() => remove())

describe('a bad sample is red', () => {
  it.each(bad)('$rule in $file', ({ rule, file }) => {
    expect(found.filter(({ filename }) => filename === file).map(({ code }) => code)).toContain(rule)
  })
})

describe('a good sample is green', () => {
  it.each(Object.keys(good))('%s', (file) => {
    expect(found.filter(({ filename }) => filename === file)).toEqual([])
  })
})

describe('house rules', () => {
  it('each have a bad sample', () => {
    const rules = readdirSync(join(root, 'tools', 'lint', 'rules')).map((name) => `house(${name.replace('.js', '')})`)
    expect(rules.filter((rule) => !bad.some((sample) => sample.rule === rule))).toEqual([])
  })

  it('say why', () => {
    const messages = found.filter(({ code }) => code.startsWith('house(')).map(({ message }) => message)
    expect(messages.filter((message) => !/[:,] .{30,}/.test(message))).toEqual([])
  })
})
