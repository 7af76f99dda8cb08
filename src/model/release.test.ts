import fc from 'fast-check'
import { expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { AgentRelease, compareVersions, ReleaseManifest, releasePlatforms, UpgradeRequest } from './release.ts'

const digest = '0'.repeat(64)

it('is made for the machines that cidery runs on', () => {
  expect(releasePlatforms).toEqual(['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64'])
})

it('has a manifest of plain files below its folder', () => {
  const file = { sha256: digest, sizeBytes: 0, executable: false }
  const sample = { format: 1, version: '1.2.3', commit: null, platform: 'linux-x64', node: '26.10.0', files: { 'bin/a b': file } }
  expectHeld(ReleaseManifest, {
    sample,
    good: { version: ['1.2.3-rc.1', '0.0.0'], commit: ['abc-dirty'], platform: [...releasePlatforms] },
    bad: {
      format: [2],
      version: ['1.2', 'v1.2.3', '1.2.3/..', '../1.2.3', '1.2.3-'],
      platform: ['linux-riscv'],
      files: [
        ...['/bin/a', '../a', 'a/../b', 'a//b', './a', 'a/', '', 'a\0b'].map((path) => ({ [path]: file })),
        { a: { ...file, sha256: 'x' } },
        { a: { ...file, sizeBytes: -1 } },
        { a: { ...file, mode: 1 } },
      ],
    },
  })
})

it('is told of an agent by commit, path and digest, and asked for by archive and manifest', () => {
  expectHeld(AgentRelease, { sample: { commit: null, path: '/x', sha256: digest, operation: null }, good: { sha256: [null] } })
  const sample = {
    kind: 'upgradeAgent',
    blob: digest,
    sizeBytes: 1,
    version: '1.0.0',
    release: digest,
    allowDowngrade: false,
    deadlineS: 120,
  }
  expectHeld(UpgradeRequest, {
    sample,
    good: { deadlineS: [10, 3600] },
    bad: { deadlineS: [9, 3601], sizeBytes: [0], version: ['1'], blob: ['x'] },
  })
})

it('orders versions as semver does', () => {
  const ordered = [
    '0.9.0',
    '0.10.0',
    '1.0.0-1',
    '1.0.0-2',
    '1.0.0-10',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-beta',
    '1.0.0',
    '1.0.1',
    '1.2.0',
    '10.0.0',
  ]
  fc.assert(
    fc.property(fc.nat(ordered.length - 1), fc.nat(ordered.length - 1), (a, b) => {
      expect(Math.sign(compareVersions(ordered[a] ?? '', ordered[b] ?? ''))).toBe(Math.sign(a - b))
    }),
  )
})
