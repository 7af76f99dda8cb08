import fc from 'fast-check'
import semver from 'semver'
import { describe, expect, it } from 'vitest'
import { judgeTools, missingTools } from './tool-check.ts'
import type { ToolOutput } from './tool-check.ts'
import { demandProblem, findVersion, parseToolVersion, satisfies } from './tool-version.ts'
import { Tool } from './tool.ts'

/** What these tools print on a real machine, first lines. */
const outputs: readonly (readonly [string, string])[] = [
  [
    'clang version 19.1.7 (https://github.com/llvm/llvm-project.git cd708029e0b2869e80abe31ddb175f7c35361f90)\nTarget: arm64-apple-darwin24.4.0',
    '19.1.7',
  ],
  ['Homebrew clang version 19.1.7\n', '19.1.7'],
  ['cmake version 3.30.5\n\nCMake suite maintained and supported by Kitware', '3.30.5'],
  ['v24.3.0\n', '24.3.0'],
  ['1.2.17\n', '1.2.17'],
  ['buildkite-agent version 3.87.0+9236.a1b2c3', '3.87.0+9236.a1b2c3'],
  ['Python 3.11.2', '3.11.2'],
  ['go version go1.24.4 darwin/arm64', '1.24.4'],
  ['rustc 1.87.0 (17067e9ac 2025-05-09)', '1.87.0'],
  ['git version 2.39.5 (Apple Git-154)', '2.39.5'],
  ['jq-1.7.1', '1.7.1'],
  ['tmux 3.5a', '3.5a'],
  ['Screen version 4.00.03 (FAU) 23-Oct-06', '4.00.03'],
  ['OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17', '9.2p1'],
  ['Docker version 28.2.2, build e6534b4', '28.2.2'],
  ['GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu', '4.3'],
  ['1:2.39.5-0+deb12u2', '1:2.39.5-0+deb12u2'],
  ['gcc (Debian 12.2.0-14+deb12u1) 12.2.0', '12.2.0-14+deb12u1'],
  ['Version 137.0.7151.68 (Official Build).', '137.0.7151.68'],
]

describe('a version in what a tool prints', () => {
  it.each(outputs)('is found in %j', (output, version) => {
    expect(findVersion(output)).toBe(version)
    expect(parseToolVersion(version)).toBeDefined()
  })

  it('is where the pattern says', () => {
    expect(findVersion('gcc (Debian 12.2.0-14+deb12u1) 12.2.0', String.raw`\) (\S+)$`)).toBe('12.2.0')
    expect(findVersion('nothing', String.raw`\) (\S+)$`)).toBeUndefined()
  })

  it.each(['', 'zsh: command not found: cmake', 'version 3', 'error 127'])('is not made up: %j', (output) => {
    expect(findVersion(output)).toBeUndefined()
  })
})

describe('whether a version is one that is demanded', () => {
  it.each([
    ['19.1.7', '19.1.7', true],
    ['19.1.6', '19.1.7', false],
    ['19.1.70', '19.1.7', false],
    ['v24.3.0', '24.3.0', true],
    ['24.3.0', 'v24.3.0', true],
    ['3.11.0', '3.11', false],
    ['3.11.2', '>=3.11 <3.13', true],
    ['3.13.0', '>=3.11 <3.13', false],
    ['3.9.18', '>=3.11', false],
    ['3.13.0rc1', '<3.13', false],
    ['3.13.0rc1', '>=3.12', false],
    ['3.13.0rc1', '3.13.0rc1', true],
    ['1:2.39.5-0+deb12u2', '>=2.39', true],
    ['1:2.39.5-0+deb12u2', '>=2.40', false],
    ['1:2.39.5-0+deb12u2', '1:2.39.5-0+deb12u2', true],
    ['2.39.5-0+deb12u2', '1:2.39.5-0+deb12u2', false],
    ['3.5a', '>=3.5', true],
    ['4.00.03', '>=4', true],
    ['10.0', '>9.9', true],
    ['9.9', '<=9.9', true],
    ['anything', 'any', true],
    ['anything', '>=1', false],
    ['anything', 'anything', false],
  ] as const)('%s for %s: %s', (found, demanded, answer) => {
    expect(satisfies(found, demanded)).toBe(answer)
  })

  const numbers = fc.tuple(fc.nat(12), fc.nat(12), fc.nat(12)).map((parts) => parts.join('.'))
  const bound = fc.tuple(fc.constantFrom('>=', '>', '<=', '<'), numbers).map(([operator, version]) => operator + version)
  const ranges = fc.array(bound, { minLength: 1, maxLength: 3 }).map((bounds) => bounds.join(' '))

  it('is what semver says where a version is one of semver', () => {
    fc.assert(
      fc.property(numbers, ranges, (version, range) => {
        expect(satisfies(version, range)).toBe(semver.satisfies(version, range))
      }),
    )
    fc.assert(
      fc.property(numbers, numbers, (one, other) => {
        expect(satisfies(one, other)).toBe(semver.eq(one, other))
      }),
    )
  })

  it('refuses a range that nothing is in, and no other', () => {
    fc.assert(
      fc.property(ranges, numbers, (range, version) => {
        if (semver.satisfies(version, range)) expect(demandProblem(range)).toBeNull()
      }),
    )
    expect(demandProblem('>=2 <2')).toContain('nothing is in')
    expect(demandProblem('>2 <=2')).toContain('nothing is in')
    expect(demandProblem('>=2 <=2')).toBeNull()
  })

  it.each(['', 'latest', '^1.2', '~1.2', '1.2 1.3', '>=', '1.x', 'any any', '>=1 any'])('does not guess what %j means', (text) => {
    expect(demandProblem(text)).toContain('a version such as 19.1.7')
  })
})

describe('the tools of an image', () => {
  const tools = [
    { name: 'clang', version: '19.1.7', check: 'clang --version' },
    { name: 'cmake', version: '3.30.5', check: 'cmake --version' },
    { name: 'python', version: '>=3.11 <3.13', check: 'python3 --version' },
    { name: 'tree', version: 'any', check: 'command -v tree' },
    { name: 'htop', version: 'any', check: 'command -v htop' },
    { name: 'jq', version: '1.7.1', check: 'jq --version' },
  ].map((tool) => Tool.parse(tool))
  const printed = (clang: string) =>
    new Map<string, ToolOutput>([
      ['clang', { exitCode: 0, output: `clang version ${clang}` }],
      ['cmake', { exitCode: 0, output: 'cmake version 3.30.5' }],
      ['python', { exitCode: 0, output: 'Python 3.11.2' }],
      ['tree', { exitCode: 0, output: '/opt/homebrew/bin/tree\n' }],
      ['htop', { exitCode: 0, output: '' }],
      ['jq', { exitCode: 0, output: 'jq-1.7.1' }],
    ])

  it('are good when each is as demanded', () => {
    expect(missingTools('macos-15', judgeTools(tools, printed('19.1.7')))).toBeNull()
  })

  it('fail the image with one miss, and the list names all', () => {
    expect(missingTools('macos-15', judgeTools(tools, printed('19.1.6')))?.message).toBe(
      '1 of 6 tools of macos-15 are not as its recipe demands:\nclang 19.1.7: it is 19.1.6',
    )
    const bad = new Map<string, ToolOutput>([
      ...printed('19.1.6'),
      ['cmake', { exitCode: 127, output: 'sh: cmake: not found 3.30.5' }],
      ['python', { exitCode: null, output: '' }],
      ['jq', { exitCode: 0, output: 'jq' }],
    ])
    bad.delete('htop')
    const error = missingTools('macos-15', judgeTools(tools, bad))
    expect(error?.message.split('\n')).toEqual([
      '5 of 6 tools of macos-15 are not as its recipe demands:',
      'clang 19.1.7: it is 19.1.6',
      'cmake 3.30.5: its check ended with 127: cmake --version',
      'python >=3.11 <3.13: its check did not end: python3 --version',
      'htop any: it was not checked',
      'jq 1.7.1: no version is in what "jq --version" prints',
    ])
  })
})
