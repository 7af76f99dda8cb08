import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawScenario } from '../../src/simulate/draw.ts'
import { readScript, writeScript } from '../../src/simulate/script.ts'

const small = writeScript(drawScenario({ seed: 3, hours: 2, hosts: 2 }), 'one line\nand another')

function problemsOf(script: string): readonly string[] {
  try {
    readScript(script, 'x.yaml')
  } catch (error) {
    return (error as Error).message.split('\n').slice(1)
  }
  return []
}

function lineOf(script: string, text: string): number {
  return script.split('\n').findIndex((line) => line.includes(text)) + 1
}

describe('a script', () => {
  it('reads back as the scenario that was written', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 1, max: 12 }), (seed, hosts) => {
        const scenario = drawScenario({ seed, hours: 3, hosts, faultRate: 3 })
        expect(readScript(writeScript(scenario, `seed ${seed}`), 'x.yaml')).toEqual(scenario)
      }),
      { numRuns: 30 },
    )
  })

  it('says above what it is about, and has a line with its moment for each fault and job', () => {
    expect(small.startsWith('# one line\n# and another\n')).toBe(true)
    expect(small).toMatch(/^ {2}- \{ at: \d+, key: job-1, .*\} # \d\d:\d\d:\d\d\.\d{3}$/m)
    expect(small).not.toContain('stubborn: false')
    expect(small).toContain('calmMs: 12h')
  })

  it('is refused with file, line, field and what would be accepted', () => {
    const base = small.slice(0, small.indexOf('faults:'))
    const broken = `${base}faults:\n  - { kind: powerLos, at: 1, host: mini-0, downMs: 5 }\n`
    expect(problemsOf(broken)).toEqual([
      expect.stringMatching(
        new RegExp(
          `^x\\.yaml:${lineOf(broken, 'powerLos')}:\\d+: faults\\[0\\]\\.kind: there is no fault "powerLos"; did you mean "powerLoss"\\?`,
        ),
      ),
    ])
    expect(problemsOf(`${base}faults:\n  - { kind: powerLoss, at: 1, host: mini-0, down: 5 }\n`).join('\n')).toMatch(
      /x\.yaml:\d+:\d+: faults\[0\]\.down: unknown field "down"/,
    )
    expect(problemsOf(`${base}faults:\n  - { kind: agentFreeze, at: 1, for: 5, host: mini-7 }\n`)).toEqual([
      expect.stringMatching(/x\.yaml:\d+:\d+: faults\[0\]\.host: there is no host "mini-7"; did you mean "mini-/),
    ])
    expect(problemsOf(small.replace(/seed: 3/, 'sed: 3')).join('\n')).toMatch(
      /x\.yaml:4:1: sed: unknown field "sed"; did you mean "seed"\?/,
    )
    expect(problemsOf(small.replace('key: job-1,', 'key: [,')).length).toBeGreaterThan(0)
  })

  it('is refused for what its spec has wrong', () => {
    expect(() => readScript(small.replace('image: macos-15', 'image: macos-16'), 'x.yaml')).toThrow(
      /the spec in x\.yaml:\d+:\d+: queues\.ios\.image/,
    )
  })
})
