import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { carryEnvironment, enteringWords } from './entering.ts'

/** Runs the words as whoever runs this, and reads back the environment that the command got. */
function environmentOf(env: Readonly<Record<string, string>>, shell?: string): Readonly<Record<string, string>> {
  const [program = '', ...words] = enteringWords({ argv: ['/usr/bin/env', '-0'], env }, '/')
  const { stdout, stderr } = spawnSync(shell ?? program, words, {
    argv0: 'sh',
    env: carryEnvironment(env),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (stderr !== '') throw new Error(stderr)
  return Object.fromEntries(
    stdout
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}

describe('the way into a sandbox', () => {
  it('carries every variable under a name of its own, so that nothing of a job steers a program that runs as root', () => {
    const names = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,30}$/)
    fc.assert(
      fc.property(fc.dictionary(names, fc.string({ maxLength: 70_000 })), (env) => {
        for (const name of Object.keys(carryEnvironment(env))) expect(name).toMatch(/^CIDERY_ENV_\d+(?:_\d+)?$/)
      }),
      { numRuns: 50 },
    )
  })

  it('brings back values as long as the kernel takes, cut between characters', () => {
    const longest = {
      A: `${'x'.repeat(29_997)}😀${'y'.repeat(100_000)}`.slice(0, 131_060),
      B: '\n'.repeat(60_001),
      C: '',
      D: `${'é'.repeat(60_000)}'"$`,
    }
    expect(environmentOf(longest)).toEqual(longest)
  })

  it('brings back nothing but what was given', () => {
    for (const env of [{}, { PWD: '/x' }, { OLDPWD: 'y', SHLVL: '3' }, { IFS: 'x', PATH: '', ENV: '/nowhere', HOME: '' }])
      expect(environmentOf(env)).toEqual(env)
  })

  it.runIf(existsSync('/bin/bash'))('brings back the same where /bin/sh is bash', () => {
    const env = { PATH: '/usr/bin', PWD: '/x', IFS: 'q', A: 'x\n"', LONG: 'z'.repeat(100_000), BASH_ENV: '/nowhere' }
    expect(environmentOf(env, '/bin/bash')).toEqual(env)
  })

  it('quotes words for a terminal’s shell', () => {
    const words = enteringWords({ argv: ['say', "it's $HOME"], env: { SHELL: '/bin/z sh' }, tty: true }, '/work')
    expect(words).toContain(String.raw`SHELL='/bin/z sh'; export SHELL; exec 'say' 'it'\''s $HOME'`)
  })

  it('takes a program with = in its name for a program', () => {
    expect(enteringWords({ argv: ['./a=b'], env: {} }, '/').at(-1)).toBe('./a=b')
    expect(enteringWords({ argv: ['./a=b'], env: {} }, '/')).not.toContain('/usr/bin/env')
  })
})
