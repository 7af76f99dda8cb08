import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { seededCopy } from './seeded-copy.ts'
import type { SeededCopy } from './seeded-copy.ts'

const copies: SeededCopy[] = []

/** A project of these suites alone. Each gets the test file `suites/<name>/it.test.ts` when `tests` has one for it. */
function project(suites: readonly Readonly<Record<string, unknown>>[], tests: Readonly<Record<string, string>> = {}): SeededCopy {
  const full = suites.map((suite) => ('command' in suite ? suite : { include: [`suites/${String(suite['name'])}/*.test.ts`], ...suite }))
  const copy = seededCopy({ 'tools/suites.js': `export const suites = ${JSON.stringify(full)}\n` })
  for (const [name, body] of Object.entries(tests)) {
    copy.write(`suites/${name}/it.test.ts`, `import { expect, it } from 'vitest'\nimport { spawn } from 'node:child_process'\n${body}\n`)
  }
  copies.push(copy)
  return copy
}

afterEach(() => {
  for (const copy of copies.splice(0)) copy.remove()
})

function lastLine(output: string): string | undefined {
  return output.trimEnd().split('\n').at(-1)
}

const pass = "it('works', () => expect(1).toBe(1))"

describe('npm test', () => {
  it('counts every suite, prints minutes and ends with the counts alone on the last line', async () => {
    const copy = project([{ name: 'first' }, { name: 'second' }], {
      first: pass,
      second: `${pass}\nit.skip('waits for a Mac', () => undefined)`,
    })
    const { code, output } = await copy.run(['node', 'tools/test.js'], { CI: 'true' })
    expect(lastLine(output)).toBe('2 passed, 0 failed, 1 skipped')
    expect(output).toMatch(/^first +1 +0 +0 +\d+\.\d$/m)
    expect(output).toContain('skipped: second: waits for a Mac')
    expect(code).toBe(0)
  })

  it.each([
    ['a test failed', "it('breaks', () => expect(1).toBe(2))", 'failed: only: breaks'],
    ['a file could not be loaded', "throw new Error('no')", 'could not load'],
    ['the suite crashed', "it('crashes', () => process.kill(process.ppid, 'SIGKILL'))", 'only: ended with SIGKILL and left no report'],
    ['an error had no owner', `${pass}\nit('leaks', () => void Promise.reject(new Error('late')))`, 'only: ended with 1'],
  ])('is red when %s', async (_, body, said) => {
    const { code, output } = await project([{ name: 'only' }], { only: body }).run(['node', 'tools/test.js'])
    expect(output).toContain(said)
    expect(lastLine(output)).toMatch(/^\d+ passed, [1-9]\d* failed$/)
    expect(code).toBe(1)
  })

  it('is red when what a suite wants done first fails', async () => {
    const first = ['node', '-e', "console.log('no web'); process.exitCode = 3"]
    const { code, output } = await project([{ name: 'only', first }], { only: pass }).run(['node', 'tools/test.js'])
    expect(output).toMatch(/only: node -e .* ended with 3/)
    expect(lastLine(output)).toBe('1 passed, 1 failed')
    expect(code).toBe(1)
  })

  it('is red when a suite ran no test', async () => {
    const { code, output } = await project([{ name: 'empty' }]).run(['node', 'tools/test.js'])
    expect(output).toMatch(/empty: (?:ran no test|ended with 1 and left no report)/)
    expect(lastLine(output)).toMatch(/^0 passed, [1-9] failed$/)
    expect(code).toBe(1)
  })

  it('is red when a suite takes longer than it may', async () => {
    const copy = project([{ name: 'slow', minutes: 0.05 }], { slow: "it('waits', () => new Promise(() => undefined), 60_000)" })
    const { code, output } = await copy.run(['node', 'tools/test.js'])
    expect(output).toContain('slow: was stopped after 0.05 minutes')
    expect(code).toBe(1)
  })

  it.runIf(process.platform === 'linux')('is red when a process outlives its suite, and ends it (finds processes on Linux)', async () => {
    const leave = "it('leaves', () => void spawn('sleep', ['4242'], { detached: true, stdio: 'ignore' }).unref())"
    const { code, output } = await project([{ name: 'messy' }], { messy: leave }).run(['node', 'tools/test.js'])
    const pid = Number(/process (\d+) \(sleep 4242\) outlived the suite/.exec(output)?.[1])
    expect(pid).toBeGreaterThan(0)
    expect(code).toBe(1)
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 10_000 }).toBe(false)
  })

  it('lists a suite of another platform, which is no failure', async () => {
    const elsewhere = process.platform === 'darwin' ? 'linux' : 'darwin'
    const copy = project([{ name: 'here' }, { name: 'there', platform: elsewhere }], { here: pass })
    const { code, output } = await copy.run(['node', 'tools/test.js'], { CI: 'true' })
    expect(output).toContain(`there did not run: needs ${elsewhere}`)
    expect(lastLine(output)).toBe('1 passed, 0 failed')
    expect(code).toBe(0)
  })

  it('says why a suite could not run, which is a failure only with CI=true', async () => {
    const copy = project([{ name: 'here' }, { name: 'there', needs: ['tape'] }], { here: pass })
    const components =
      "export const components = { tape: { found: () => false, by: 'a person with a tape' } }\nexport const isDebian = () => false\nexport const hasCommand = () => false\n"
    copy.write('tools/components.js', components)
    const kind = await copy.run(['node', 'tools/test.js'], { CI: '' })
    expect(kind.output).toContain('there did not run: tape is missing: a person with a tape brings it')
    expect(lastLine(kind.output)).toBe('1 passed, 0 failed')
    expect(kind.code).toBe(0)
    const strict = await copy.run(['node', 'tools/test.js'], { CI: 'true' })
    expect(lastLine(strict.output)).toBe('1 passed, 1 failed')
    expect(strict.code).toBe(1)
  })

  it('counts a command by its last line or its exit code', async () => {
    const talk = ['node', '-e', "console.log('3 passed, 1 failed'); process.exitCode = 1"]
    const copy = project([
      { name: 'talks', command: talk },
      { name: 'mute', command: ['true'] },
      { name: 'red', command: ['false'] },
    ])
    const { code, output } = await copy.run(['node', 'tools/test.js'])
    expect(lastLine(output)).toBe('4 passed, 2 failed')
    expect(code).toBe(1)
  })

  it('leaves no temporary folder', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('cidery-test-')).length
    const write =
      "import { mkdtempSync } from 'node:fs'\nimport { tmpdir } from 'node:os'\nit('writes', () => void mkdtempSync(tmpdir() + '/left-'))"
    const { output } = await project([{ name: 'messy' }], { messy: write }).run(['node', 'tools/test.js'])
    expect(output).toMatch(/left in the temporary folder, removed now: .*left-/)
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('cidery-test-')).length).toBeLessThanOrEqual(before)
  })

  it('refuses a suite that it does not know', async () => {
    const { code, output } = await project([{ name: 'only' }], { only: pass }).run(['node', 'tools/test.js', 'onyl'])
    expect(output).toContain('There is no suite "onyl". Suites: only')
    expect(code).toBe(2)
  })
})

describe('npm run soak', () => {
  function withSoak(script: string): SeededCopy {
    const copy = project([{ name: 'only' }], { only: pass })
    const soak = {
      name: 'count',
      title: 'counts [003-10]',
      command: ['node', 'soak/count.js'],
      rounds: 6,
      share: 2,
      chunk: 2,
      shareWords: ['--small'],
    }
    copy.write('tools/soaks.js', `export const soaks = [${JSON.stringify(soak)}]\n`)
    copy.write('soak/count.js', script)
    return copy
  }
  const tell = "const [, from, , count, ...words] = process.argv.slice(2)\nconsole.log('played', from, count, words.join(' '))\n"

  it('goes on after the round that was red', async () => {
    const copy = withSoak(`${tell}import { existsSync } from 'node:fs'\nif (from === '2' && !existsSync('mended')) process.exitCode = 1\n`)
    const red = await copy.run(['node', 'tools/soak.js'])
    expect(red.output).toContain('count: rounds 2 to 3 ended with 1. Again: node soak/count.js --from 2 --count 2')
    expect(lastLine(red.output)).toBe('0 passed, 1 failed')
    copy.write('mended', '')
    const green = await copy.run(['node', 'tools/soak.js'])
    expect([...green.output.matchAll(/played (\d) 2 $/gm)].map((match) => match[1])).toEqual(['2', '4'])
    expect(lastLine(green.output)).toBe('1 passed, 0 failed')
    expect(green.code).toBe(0)
  })

  it('plays only its share for npm test, as small as it may be, and prints it', async () => {
    const { output } = await withSoak(tell).run(['node', 'tools/soak.js', '--share'])
    expect(output).toContain('count: rounds 0 to 1 of 6 (the share of npm test)')
    expect([...output.matchAll(/played .*/g)].map(([line]) => line)).toEqual(['played 0 2 --small'])
  })
})
