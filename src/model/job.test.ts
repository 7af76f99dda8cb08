import { describe, expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import {
  Artifact,
  ArtifactFailure,
  attemptStates,
  AttemptTimes,
  BlobDigest,
  engineNames,
  EnvironmentName,
  exitCodeOf,
  infrastructureParts,
  jobCan,
  JobSpec,
  jobStates,
  Outcome,
  RelativePath,
  Source,
} from './job.ts'

const digest = 'a1'.repeat(32)

describe('a job', () => {
  it('needs a command or a script, and takes a default for all else', () => {
    expect(JobSpec.parse({ command: ['make', 'all'] })).toEqual({
      queue: 'default',
      command: ['make', 'all'],
      env: {},
      source: { kind: 'none' },
      files: [],
      artifacts: [],
      labels: {},
      shape: {},
      priority: 0,
      secrets: [],
    })
    for (const wrong of [{}, { command: ['true'], script: 'true' }]) {
      expect(JobSpec.safeParse(wrong).error?.issues).toMatchObject([
        { path: ['command'], message: 'give exactly one of command and script' },
      ])
    }
  })

  it('holds each of its fields to its bounds', () => {
    const sample = {
      queue: 'ci',
      script: 'make',
      name: 'build',
      env: { A: 'b' },
      source: { kind: 'upload', blob: digest },
      files: [{ path: 'a/b', blob: digest, mode: 0o755 }],
      artifacts: ['dist/**'],
      engine: 'tart',
      image: 'macos-15',
      labels: { xcode: '16' },
      shape: { cpu: 2 },
      priority: 5,
      timeoutS: 60,
      retries: 1,
      secrets: ['TOKEN'],
      network: 'none',
    }
    const long = (length: number) => 'x'.repeat(length)
    const many = <T>(count: number, item: T) => Array.from({ length: count }, () => item)
    expectHeld(JobSpec, {
      sample,
      optional: {
        queue: 'default',
        name: undefined,
        env: {},
        source: { kind: 'none' },
        files: [],
        artifacts: [],
        engine: undefined,
        image: undefined,
        labels: {},
        shape: {},
        priority: 0,
        timeoutS: undefined,
        retries: undefined,
        secrets: [],
        network: undefined,
      },
      good: {
        script: [long(1), long(1_048_576)],
        name: ['', long(200)],
        env: [{}, { A: long(131_072) }],
        files: [
          [],
          many(1000, { path: 'a', blob: digest }),
          [{ path: 'a', blob: digest, mode: 0 }],
          [{ path: 'a', blob: digest, mode: 0o777 }],
        ],
        artifacts: [[], [long(1024)], many(100, 'a')],
        priority: [-100, 100],
        timeoutS: [1, 604_800],
        retries: [0, 10],
        secrets: [many(100, 'A'), ['_a.b-c1'], [`A${long(127)}`]],
        shape: [{}, { cpu: 0.1, memoryMiB: 1, diskMiB: 0 }],
        network: ['nat', 'host'],
        engine: ['user', 'qemu'],
      },
      bad: {
        queue: ['A', ''],
        script: ['', long(1_048_577)],
        name: [long(201)],
        env: [{ A: long(131_073) }, { '1A': '' }, { CIDERY_URL: '' }],
        files: [
          many(1001, { path: 'a', blob: digest }),
          [{ path: '/a', blob: digest }],
          [{ path: 'a', blob: 'x' }],
          [{ path: 'a', blob: digest, mode: -1 }],
          [{ path: 'a', blob: digest, mode: 0o1000 }],
          [{ path: 'a', blob: digest, mode: 1.5 }],
          [{ path: 'a', blob: digest, other: 1 }],
          [{}],
        ],
        artifacts: [[''], [long(1025)], many(101, 'a')],
        engine: ['docker'],
        image: ['A'],
        priority: [-101, 101, 0.5],
        timeoutS: [0, 604_801, 1.5],
        retries: [-1, 11, 0.5],
        secrets: [many(101, 'A'), [''], ['1A'], ['a b'], [`A${long(128)}`], ['-a']],
        shape: [{ cpu: 0 }, { gpu: 1 }],
        network: ['bridge'],
        labels: [{ 'A b': '' }],
      },
    })
    expect(JobSpec.parse({ ...sample, files: [{ path: 'a', blob: digest }] }).files[0]?.mode).toBe(0o644)
  })

  it('has at least one word of command, and no more than a process can take', () => {
    const ok = (command: string[]) => JobSpec.safeParse({ command }).success
    expect([
      ok(['']),
      ok([]),
      ok(['x'.repeat(131_072)]),
      ok(['x'.repeat(131_073)]),
      ok(Array.from({ length: 4096 }, () => 'x')),
      ok(Array.from({ length: 4097 }, () => 'x')),
    ]).toEqual([true, false, true, false, true, false])
  })
})

describe('a path inside a job', () => {
  it.each(['a', 'a/b.c', '..a', 'a..', '.a', 'a b/ü', 'x'.repeat(4096)])('may be %s', (path) => {
    expect(RelativePath.safeParse(path).success).toBe(true)
  })
  it.each(['', '/a', '../a', 'a/..', 'a/../b', './a', 'a/.', 'a//b', 'a/', 'a\0b', 'x'.repeat(4097)])('may not be %j', (path) => {
    expect(RelativePath.safeParse(path).success).toBe(false)
  })
  it('says what it may be', () => {
    expect(RelativePath.safeParse('/a').error?.issues[0]?.message).toBe('a relative path without "..", "." or empty parts')
  })
})

describe('a source', () => {
  const commit = '0123456789abcdef0123456789abcdef01234567'
  it.each([
    'https://example.com/a.git',
    'http://a/b',
    'ssh://git@a/b',
    'git://a/b',
    'file:///srv/a',
    'git@github.com:a/b.git',
    'me.x-1@h-1.org:p',
  ])('may be %s', (url) => {
    expect(Source.safeParse({ kind: 'git', url, commit }).success).toBe(true)
    expect(Source.safeParse({ kind: 'git', url: ` ${url}`, commit }).success).toBe(false)
    expect(Source.safeParse({ kind: 'git', url: `${url} `, commit }).success).toBe(false)
  })
  it.each([
    '',
    'ext::sh -c true',
    '/srv/a',
    'a b',
    '-oProxyCommand=x',
    'ftp://a/b',
    'https://',
    `https://${'x'.repeat(2048)}`,
    'https://a b',
  ])('may not be %j', (url) => {
    expect(Source.safeParse({ kind: 'git', url, commit }).success).toBe(false)
  })
  it('names a whole commit', () => {
    const ok = (id: string) => Source.safeParse({ kind: 'git', url: 'https://a/b', commit: id }).success
    expect([
      ok(commit),
      ok(commit + commit.slice(0, 24)),
      ok(commit.slice(1)),
      ok(`${commit}0`),
      ok(commit.toUpperCase()),
      ok('main'),
      ok(`x${commit}`),
    ]).toEqual([true, true, false, false, false, false, false])
    expect(Source.safeParse({ kind: 'git', url: 'https://a/b', commit: 'main' }).error?.issues[0]?.message).toBe('a full commit id')
    expect(Source.safeParse({ kind: 'git', url: 'a', commit }).error?.issues[0]?.message).toBe('an https, ssh, git or file URL')
  })
  it('is refused with fields that do not belong to its kind', () => {
    expect(Source.safeParse({ kind: 'none', url: 'x' }).success).toBe(false)
    expect(Source.safeParse({ kind: 'upload', blob: digest, url: 'x' }).success).toBe(false)
    expect(Source.safeParse({ kind: 'upload' }).success).toBe(false)
    expect(Source.safeParse({ kind: 'git', url: 'https://a/b', commit, ref: 'x' }).success).toBe(false)
    const isMount = (path: string) => Source.safeParse({ kind: 'mount', path }).success
    expect(['/', '/srv/a b', `/${'x'.repeat(4095)}`, '/a\nb'].map(isMount)).toEqual([true, true, true, true])
    expect(['', 'srv', './srv', '/a\0b', '/a\nb\0', `/${'x'.repeat(4096)}`].map(isMount)).toEqual([
      false,
      false,
      false,
      false,
      false,
      false,
    ])
    expect(Source.safeParse({ kind: 'mount', path: 'srv' }).error?.issues[0]?.message).toBe('an absolute path on the host')
    expect(Source.safeParse({ kind: 'svn' }).success).toBe(false)
  })
})

it('names blobs by their SHA-256', () => {
  for (const wrong of ['', digest.slice(1), `${digest}0`, digest.toUpperCase(), `g${digest.slice(1)}`]) {
    expect(BlobDigest.safeParse(wrong).error?.issues[0]?.message).toBe('a SHA-256 in lower-case hex')
  }
  expect(BlobDigest.safeParse(digest).success).toBe(true)
})

it('takes names of variables that are not ours', () => {
  for (const name of ['A', '_', 'a1_B', 'CIDERY', 'XCIDERY_A', 'A'.repeat(255)]) expect(EnvironmentName.parse(name)).toBe(name)
  for (const name of ['', '1A', 'A-B', 'A=B', 'CIDERY_X', 'A'.repeat(256), ' A', 'A ']) {
    expect(EnvironmentName.safeParse(name).error?.issues[0]?.message).toBe(
      'letters, digits and underscores, not starting with a digit or CIDERY_',
    )
  }
})

describe('an outcome', () => {
  it.each([
    [{ kind: 'exited', code: 0 }, 0],
    [{ kind: 'exited', code: 255 }, 255],
    [{ kind: 'signalled', signal: 1 }, 129],
    [{ kind: 'signalled', signal: 64 }, 192],
    [{ kind: 'timedOut', afterS: 5 }, 124],
    [{ kind: 'cancelled', by: 'user:alice' }, 130],
    [{ kind: 'setupFailed', step: 'source', message: 'no such commit' }, 125],
    [{ kind: 'infrastructure', part: 'boot', code: 'X', message: '' }, 125],
  ] as const)('%j makes cidery run exit with %d', (outcome, code) => {
    expect(exitCodeOf(Outcome.parse(outcome))).toBe(code)
    expect(Outcome.safeParse({ ...outcome, other: 1 }).success).toBe(false)
    for (const key of Object.keys(outcome)) expect(Outcome.safeParse({ ...outcome, [key]: undefined }).success).toBe(false)
  })
  it.each([
    { kind: 'exited', code: -1 },
    { kind: 'exited', code: 256 },
    { kind: 'exited', code: 0.5 },
    { kind: 'signalled', signal: 0 },
    { kind: 'signalled', signal: 65 },
    { kind: 'timedOut', afterS: 0.5 },
    { kind: 'infrastructure', part: 'moon', code: '', message: '' },
    { kind: 'lost' },
  ])('is never %j', (outcome) => {
    expect(Outcome.safeParse(outcome).success).toBe(false)
  })
})

it('holds artifacts and times', () => {
  expectHeld(Artifact, {
    sample: { path: 'a', sizeBytes: 0, mode: 420, blob: digest },
    bad: { sizeBytes: [-1, 0.5], mode: [0.5], path: ['/a'], blob: [''] },
  })
  expectHeld(ArtifactFailure, { sample: { pattern: '*', path: 'a', reason: 'x' }, optional: { path: undefined } })
  const times = { assigned: 1, booting: 2, preparing: 3, sourceReady: 4, running: 5, collecting: 6, cleaning: 7, ended: 8 }
  expectHeld(AttemptTimes, { sample: times, optional: Object.fromEntries(Object.keys(times).map((key) => [key, undefined])) })
})

it('has words that are API', () => {
  expect(engineNames).toEqual(['user', 'qemu', 'tart'])
  expect(jobStates).toEqual(['queued', 'assigned', 'running', 'ended'])
  expect(attemptStates).toEqual(['assigned', 'booting', 'preparing', 'running', 'collecting', 'cleaning', 'ended'])
  expect(infrastructureParts).toEqual(['image', 'host', 'boot', 'network', 'agent', 'source', 'disk', 'supervisor'])
  expect(jobCan).toEqual({ cancel: ['queued', 'assigned', 'running'], rerun: ['ended'] })
})
