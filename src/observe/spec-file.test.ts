import { describe, expect, it } from 'vitest'
import { CideryError } from '../model/errors.ts'
import { defaultSpec } from '../model/spec.ts'
import { readSpecFile } from './spec-file.ts'

function problemsOf(source: string): readonly string[] {
  try {
    readSpecFile(source, 'cidery.yaml')
  } catch (error) {
    if (error instanceof CideryError) return error.message.split('\n').slice(1)
    throw error
  }
  return []
}

describe('readSpecFile', () => {
  it('reads a spec with every default filled in', () => {
    expect(readSpecFile('version: 1\n', 'cidery.yaml')).toEqual(defaultSpec)
    const spec = readSpecFile('version: 1\nqueues:\n  ci: { timeout: 2h, weight: 2 }\n', 'cidery.yaml')
    expect(spec.queues['ci']).toMatchObject({ timeout: 7_200_000, weight: 2, retries: 2 })
  })

  it('names every mistake with its place, the accepted values and what was probably meant', () => {
    const source = [
      'version: 1',
      'pools:',
      '  macs:',
      '    hots: [a]',
      '    engines:',
      '      usr: {}',
      '      user: { limits: advisry, slots: 0 }',
      'queues:',
      '  ci:',
      '    pools: [mac]',
      '    timeout: 5 minutes',
      '',
    ].join('\n')
    expect(problemsOf(source)).toEqual([
      'cidery.yaml:4:5: pools.macs.hots: unknown field "hots"; did you mean "hosts"? (accepted: provider, hosts, labels, engines, readiness, images, prefer, quarantineAfter, repair)',
      'cidery.yaml:6:7: pools.macs.engines.usr: unknown field "usr"; did you mean "user"? (accepted: user, qemu, tart)',
      'cidery.yaml:7:15: pools.macs.engines.user.limits: accepted: enforced, advisory; did you mean "advisory"?',
      expect.stringContaining('cidery.yaml:7:32: pools.macs.engines.user.slots: '),
      'cidery.yaml:11:5: queues.ci.timeout: a duration such as 90s, 5m, 1h30m or 7d',
    ])
  })

  it('finds names that point at nothing, under queue names with dots too', () => {
    expect(
      problemsOf('version: 1\npools: { macs: {} }\nqueues:\n  ci.main:\n    pools:\n      - macs\n      - mac\n    image: x\n'),
    ).toEqual([
      'cidery.yaml:7:9: queues.ci.main.pools[1]: there is no pool "mac"; did you mean "macs"? (accepted: macs)',
      'cidery.yaml:8:5: queues.ci.main.image: there is no image "x"',
    ])
  })

  it('finds sandboxes that would be kept started for nobody', () => {
    const lines = [
      'version: 1',
      'images: { debian: { engine: qemu } }',
      'pools:',
      '  one:',
      '    engines:',
      '      user: { warm: { plain: 1 } }',
      '      qemu: { warm: { linux: 1, linx: 1, plain: 1, bare: 1, other: 1 } }',
      '  two: {}',
      'queues:',
      '  linux: { engine: qemu, image: debian }',
      '  bare: { engine: qemu }',
      '  other: { engine: qemu, image: debian, pools: [two] }',
      '  plain: {}',
    ]
    expect(problemsOf(lines.join('\n'))).toEqual([
      'cidery.yaml:6:23: pools.one.engines.user.warm.plain: engine user keeps no sandboxes started; qemu does',
      'cidery.yaml:7:33: pools.one.engines.qemu.warm.linx: there is no queue "linx"; did you mean "linux"? (accepted: linux)',
      'cidery.yaml:7:42: pools.one.engines.qemu.warm.plain: jobs of queue "plain" get none of them (accepted: linux)',
      'cidery.yaml:7:52: pools.one.engines.qemu.warm.bare: jobs of queue "bare" get none of them (accepted: linux)',
      'cidery.yaml:7:61: pools.one.engines.qemu.warm.other: jobs of queue "other" get none of them (accepted: linux)',
    ])
  })

  it.each([
    ['a list that does not end', 'version: 1\npools: [\n', 'cidery.yaml:3:1: '],
    ['a key twice', 'version: 1\nversion: 1\n', 'cidery.yaml:2:1: Map keys must be unique'],
    ['a tab as indentation', 'version: 1\npools:\n\tx: {}\n', 'cidery.yaml:3:1: '],
    ['two documents', 'version: 1\n---\nversion: 1\n', 'cidery.yaml:2:1: '],
    ['no version', '', 'cidery.yaml:1:1: version: accepted: 1'],
    ['another version', 'version: 2\n', 'cidery.yaml:1:1: version: accepted: 1'],
    ['a list where a map belongs', '- 1\n', 'cidery.yaml:1:1: '],
    ['a name that nobody can type', 'version: 1\nqueues:\n  "No Such": {}\n', 'cidery.yaml:3:3: queues.No Such: this name is not accepted'],
  ])('refuses %s', (_what, source, problem) => {
    expect(problemsOf(source)[0]).toContain(problem)
  })

  it('refuses a few lines that unfold into gigabytes', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]']
    for (const [name, of] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf', 'hg', 'ih'].map((pair) => pair.split('')))
      bomb.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${of}`).join(',')}]`)
    expect(() => readSpecFile(`version: 1\n${bomb.join('\n')}\n`, 'cidery.yaml')).toThrow(/alias/i)
  })

  it('refuses images that are preferred and not there, and zones that are none', () => {
    const source = `version: 1
pools:
  macs:
    prefer: [macos-15, macos-41, macos-15]
images:
  macos-15:
    engine: tart
    schedule: { cron: "0 2 * *", timezone: Europe/Berlin }
  macos-14:
    engine: tart
    schedule: { timezone: Europe/Brelin }
`
    expect(problemsOf(source)).toEqual([
      'cidery.yaml:8:17: images.macos-15.schedule.cron: a line of cron such as "0 2 * * *": five fields (minute hour day month weekday); there are 4',
    ])
    expect(problemsOf(source.replace('"0 2 * *"', '"0 2 * * *"'))).toEqual([
      'cidery.yaml:4:24: pools.macs.prefer[1]: there is no image "macos-41"; did you mean "macos-14"? (accepted: macos-15, macos-14)',
      'cidery.yaml:4:34: pools.macs.prefer[2]: "macos-15" is there twice',
      'cidery.yaml:11:17: images.macos-14.schedule.timezone: there is no time zone "Europe/Brelin"',
    ])
  })
})
