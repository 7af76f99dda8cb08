import { describe, expect, it } from 'vitest'
import { CideryError } from '../model/errors.ts'
import { recipeFiles, recipePackages, stepTimeout } from '../model/image/recipe.ts'
import { readRecipeFile, readRecipeValue } from './recipe-file.ts'

const sound = `# A small one.
name: debian-12
version: "3.6"
engine: qemu
base: { debian: bookworm }
guest: { os: debian, release: "12" }
layers:
  - name: system
    steps:
      - name: compilers
        packages: { manager: apt, list: [gcc, "git@1:2.39.5-0+deb12u2"] }
      - name: settings
        copy: { from: files/sshd.conf, to: /etc/ssh/sshd_config.d/cidery.conf }
      - name: restart
        reboot: {}
  - name: tools
    steps:
      - name: set up
        shell: { file: set-up.sh }
        as: root
        timeout: 5m
      - name: fetch
        download: { url: "https://example.com/tool.tar.gz", to: /tmp/tool.tar.gz }
tools:
  - { name: gcc, version: ">=12 <13", check: gcc -dumpfullversion }
`

function problemsOf(source: string): readonly string[] {
  try {
    readRecipeFile(source, 'r.yaml')
  } catch (error) {
    if (error instanceof CideryError) return error.message.split('\n').slice(1)
    throw error
  }
  return []
}

describe('a recipe in YAML', () => {
  it('is one file: ordered steps in layers, each with a time limit of its own', () => {
    const recipe = readRecipeFile(sound, 'r.yaml')
    expect(recipe.layers.map(({ name, steps }) => [name, steps.map(({ kind }) => kind)])).toEqual([
      ['system', ['packages', 'copy', 'reboot']],
      ['tools', ['shell', 'download']],
    ])
    const minutes = recipe.layers.flatMap(({ steps }) => steps.map((step) => stepTimeout(recipe, step) / 60_000))
    expect(minutes).toEqual([30, 10, 10, 5, 30])
    expect(recipeFiles(recipe)).toEqual(['files/sshd.conf', 'set-up.sh'])
    expect(recipePackages(recipe)).toEqual([
      { manager: 'apt', name: 'gcc', version: null },
      { manager: 'apt', name: 'git', version: '1:2.39.5-0+deb12u2' },
    ])
  })

  it('has the time limits, tries and rounds of the predecessors where it says nothing', () => {
    const { timeouts, tries, flakiness } = readRecipeFile(sound, 'r.yaml')
    const minute = 60_000
    expect(timeouts).toEqual({
      build: 720 * minute,
      boot: 2 * minute,
      connect: 20 * minute,
      shutdown: 5 * minute,
      steps: { reboot: 10 * minute, packages: 30 * minute, shell: 60 * minute, download: 30 * minute, copy: 10 * minute },
    })
    expect(tries).toBe(2)
    expect(flakiness).toMatchObject({ rounds: 3, threshold: 0.8 })
  })

  it('keeps doors shut that it does not open', () => {
    expect(readRecipeFile(sound, 'r.yaml').settings).toMatchObject({ screenSharing: false, remoteManagement: false, passwordLogin: false })
  })

  it('of steps alone is one layer', () => {
    const flat = sound.replace(/layers:[\s\S]*tools:/, 'steps:\n  - { name: hello, shell: echo hello }\ntools:')
    expect(readRecipeFile(flat, 'r.yaml').layers).toMatchObject([{ name: 'image', steps: [{ kind: 'shell', as: 'user', retries: 0 }] }])
  })

  it.each([
    ['version: "3.6"', 'version: 3.60', 'r.yaml:3:1: version: a version in quotes, such as "3.6": without them 3.60 would be read as 3.6'],
    ['engine: qemu', 'engine: quemu', 'r.yaml:4:1: engine: accepted: tart, qemu; did you mean "qemu"?'],
    ['engine: qemu', 'engine: tart', 'r.yaml:5:9: base.debian: a build from debian needs the engine qemu; it is tart (accepted: qemu)'],
    ['release: "12"', 'release: "13"', 'r.yaml:5:9: base.debian: the base is bookworm, and the guest is said to be trixie'],
    [
      '{ debian: bookworm }',
      '{ debian: bookworm, oci: ghcr.io/a/b }',
      'r.yaml:5:1: base: a base is exactly one of oci, ipsw, debian, image; oci and debian are there',
    ],
    [
      '{ debian: bookworm }',
      '{ ipsw: /a.ipsw }',
      'r.yaml:5:1: base.sha256: the SHA-256 of the restore image is not there: a build does not start from unknown bytes',
    ],
    [
      '{ debian: bookworm }',
      '{ oci: macos }',
      'r.yaml:5:9: base.oci: "macos" is not the reference of an image: "" is not the host of a registry; write host/path:tag or host/path@sha256:…, such as ghcr.io/acme/macos-15:latest',
    ],
    ['{ debian: bookworm }', '{ image: debian-12 }', 'r.yaml:5:9: base.image: debian-12 cannot be its own base'],
    [
      'manager: apt',
      'manager: brew',
      'r.yaml:11:21: layers[0].steps[0].packages.manager: debian has no brew (accepted: apt, npm, pip, cargo)',
    ],
    [
      'reboot: {}',
      'rebot: {}',
      'r.yaml:15:9: layers[0].steps[2].rebot: unknown field "rebot"; did you mean "reboot"? (accepted: name, shell, as, copy, reboot, packages, download, timeout, retries)',
    ],
    [
      'reboot: {}',
      'reboot: {}\n        shell: echo',
      'r.yaml:14:9: layers[0].steps[2]: a step has exactly one of shell, copy, reboot, packages, download; shell and reboot are there',
    ],
    [
      'reboot: {}',
      'retries: 1',
      'r.yaml:14:9: layers[0].steps[2]: a step has exactly one of shell, copy, reboot, packages, download; none is there',
    ],
    [
      'reboot: {}',
      'reboot: {}\n        as: root',
      'r.yaml:16:9: layers[0].steps[2].as: only a shell step runs as somebody; this one is reboot',
    ],
    ['name: restart', 'name: settings', 'r.yaml:14:9: layers[0].steps[2].name: "settings" is the name of layers[0].steps[1] as well'],
    [
      'from: files/sshd.conf',
      'from: ../sshd.conf',
      'r.yaml:13:17: layers[0].steps[1].copy.from: a path below the folder of the recipe, such as files/sshd.conf, without . and ..',
    ],
    ['to: /tmp/tool.tar.gz', 'to: tmp', 'r.yaml:23:61: layers[1].steps[1].download.to: an absolute path in the guest, or one below ~/'],
    ['url: "https://', 'url: "file:///', 'r.yaml:23:21: layers[1].steps[1].download.url: an https URL (http only to this machine)'],
    ['timeout: 5m', 'timeout: 5', 'r.yaml:21:9: layers[1].steps[0].timeout: a duration such as 90s, 5m, 1h30m or 7d'],
    ['timeout: 5m', 'timeout: soon', 'r.yaml:21:9: layers[1].steps[0].timeout: a duration such as 90s, 5m, 1h30m or 7d'],
    ['">=12 <13"', '">=13 <12"', 'r.yaml:25:18: tools[0].version: a range that something can be in; nothing is in ">=13 <12"'],
    ['">=12 <13"', 'newest', 'r.yaml:25:18: tools[0].version: a version such as 19.1.7, a range such as ">=3.11 <3.13", or any'],
    [
      'check: gcc',
      'pattern: "(a", check: gcc',
      'r.yaml:25:39: tools[0].pattern: a regular expression; Invalid regular expression: /(a|/m: Unterminated group',
    ],
    [
      'check: gcc',
      'pattern: "(a)(b)", check: gcc',
      'r.yaml:25:39: tools[0].pattern: a regular expression with one group around the version; this one has 2',
    ],
    ['name: system', 'name: image', 'r.yaml:8:5: layers[0].name: "image" is the layer of a recipe without layers; choose another name'],
  ])('%s → %s is refused with its place and what is accepted', (from, to, problem) => {
    expect(sound).toContain(from)
    expect(problemsOf(sound.replace(from, to))).toEqual([problem])
  })

  it('names what is there twice at its place in a recipe without layers', () => {
    const flat = sound.replace(/layers:[\s\S]*tools:/, 'steps:\n  - { name: a, shell: echo }\n  - { name: a, shell: echo }\ntools:')
    expect(problemsOf(flat)).toEqual(['r.yaml:9:7: steps[1].name: "a" is the name of steps[0] as well'])
  })

  it('says everything at once', () => {
    expect(problemsOf(sound.replace('engine: qemu', 'engine: quemu').replace('manager: apt', 'manager: dnf'))).toHaveLength(2)
  })
})

describe('a recipe from a module', () => {
  it('is read as the same thing', () => {
    const value = {
      name: 'a',
      version: '1',
      engine: 'qemu',
      base: { debian: 'bookworm' },
      guest: { os: 'debian', release: '12' },
      steps: [{ name: 'b', shell: 'true' }],
    }
    const yaml =
      'name: a\nversion: "1"\nengine: qemu\nbase: { debian: bookworm }\nguest: { os: debian, release: "12" }\nsteps: [{ name: b, shell: "true" }]\n'
    expect(readRecipeValue(value, 'a.image.ts')).toEqual(readRecipeFile(yaml, 'a.yaml'))
  })

  it('names file, field and what is accepted', () => {
    expect(() => readRecipeValue({ name: 'a', egine: 'qemu' }, 'a.image.ts')).toThrow(
      /a\.image\.ts: egine: unknown field "egine"; did you mean "engine"\?/,
    )
    expect(() => readRecipeValue(undefined, 'a.image.ts')).toThrow(/a\.image\.ts: name: /)
  })
})
