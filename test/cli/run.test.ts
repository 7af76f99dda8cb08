import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Play } from '../doubles/api-double-contract.ts'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

let double: ApiDouble

beforeEach(async () => {
  double = await startApiDouble()
})

afterEach(async () => {
  await double.close()
})

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { ...options, env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token, ...options.env } })
}

function plays(play: Play): void {
  double.state.play = () => play
}

const passed = { kind: 'exited' as const, code: 0 }

describe('run', () => {
  it.each([
    [{ kind: 'exited', code: 0 }, 0],
    [{ kind: 'exited', code: 37 }, 37],
    [{ kind: 'signalled', signal: 9 }, 137],
    [{ kind: 'timedOut', afterS: 5 }, 124],
    [{ kind: 'cancelled', by: 'user:admin' }, 130],
  ] as const)('ends as its job ended: %o is %i', async (outcome, code) => {
    plays({ attempts: [{ pieces: ['x\n'], outcome }] })
    const run = await cidery(['run', '--', 'true'])
    expect(run.code).toBe(code)
    expect(run.stdout).toBe('x\n')
  })

  it.each([
    { kind: 'infrastructure', part: 'boot', code: 'ENGINE_FAILED', message: 'the VM did not boot' },
    { kind: 'setupFailed', step: 'source', message: 'no such commit' },
  ] as const)('ends with 125 and says why when cidery could not run it: $kind', async (outcome) => {
    plays({ attempts: [{ pieces: [], outcome }] })
    const run = await cidery(['run', '--', 'true'])
    expect(run.code).toBe(125)
    expect(run.stderr).toContain(outcome.message)
  })

  it('goes on at the next controller when the first is away, without a word', async () => {
    plays({ attempts: [{ pieces: ['x\n'], outcome: passed }] })
    const run = await cidery(['run', '--', 'true'], { env: { CIDERY_URL: `http://127.0.0.1:1,${double.url}` } })
    expect([run.code, run.stdout]).toEqual([0, 'x\n'])
    expect(run.stderr).not.toContain('trying again')
  })

  it('copies the log byte by byte, whatever the bytes are', async () => {
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7919) % 256))
    plays({ attempts: [{ pieces: [bytes.subarray(0, 33_333), bytes.subarray(33_333)], outcome: passed }] })
    const run = await cidery(['run', '--', 'dump'])
    expect(Buffer.compare(Buffer.from(run.bytes), bytes)).toBe(0)
  })

  it('loses and repeats no byte when the connection is cut again and again', async () => {
    const pieces = Array.from({ length: 200 }, (_, index) => `line ${index}\n`)
    plays({ attempts: [{ pieces, outcome: passed }], pieceMs: 1 })
    double.faults.cutLogAfter = 137
    const run = await cidery(['run', '--', 'talk'])
    expect(run.stdout).toBe(pieces.join(''))
    expect(run.code).toBe(0)
  })

  it('goes on while the controller is away', async () => {
    const pieces = Array.from({ length: 60 }, (_, index) => `line ${index}\n`)
    plays({ attempts: [{ pieces, outcome: passed }], pieceMs: 10 })
    double.faults.cutLogAfter = 90
    let looks = 0
    double.faults.refuse = ({ method, path }) => {
      if (method === 'GET' && path.startsWith('/jobs/')) looks += 1
      return looks > 4 && looks < 12 ? 'UNAVAILABLE' : undefined
    }
    const run = await cidery(['run', '--', 'talk'])
    expect(run.stdout).toBe(pieces.join(''))
    expect(run.stderr).toContain('trying again')
    expect(run.code).toBe(0)
  })

  it('submits one job when the answer gets lost', async () => {
    let lost = 0
    double.faults.loseAnswer = ({ method, path }) => method === 'POST' && path === '/jobs' && (lost += 1) <= 2
    const run = await cidery(['run', '--', 'true'])
    expect(run.code).toBe(0)
    expect(lost).toBe(3)
    expect(double.state.jobs.size).toBe(1)
  })

  it('shows the logs of all attempts when the first failed for a fault of the infrastructure', async () => {
    const lost = { kind: 'infrastructure', part: 'host', code: 'HOST_LOST', message: 'gone' } as const
    plays({
      attempts: [
        { pieces: ['first\n'], outcome: lost },
        { pieces: ['second\n'], outcome: { kind: 'exited', code: 3 } },
      ],
    })
    const run = await cidery(['run', '--', 'true'])
    expect(run.stdout).toBe('first\nsecond\n')
    expect(run.stderr).toContain('attempt 2')
    expect(run.code).toBe(3)
  })

  it('says on stderr what a queued job waits for, and the cure', async () => {
    plays({ attempts: [{ pieces: ['x\n'], outcome: passed }], pieceMs: 150 })
    const run = await cidery(['run', '--', 'true'])
    expect(run.stderr).toContain('no host has the label xcode=16')
    expect(run.stderr).toContain('cidery host ls -o wide')
    expect(run.stdout).toBe('x\n')
  })

  it('cancels its job on Ctrl-C and ends with 130', async () => {
    plays({ attempts: [{ pieces: Array.from({ length: 2000 }, () => 'tick\n'), outcome: passed }] })
    let press = () => {}
    const run = await cidery(['run', '--', 'long'], {
      interrupt: (now) => {
        press = now
        setTimeout(() => press(), 150)
      },
    })
    expect(run.code).toBe(130)
    expect([...double.state.jobs.values()].map((job) => job.outcome?.kind)).toEqual(['cancelled'])
    expect(run.stderr).toContain('cancelling')
  })

  it('leaves at once on a second Ctrl-C', async () => {
    plays({ attempts: [{ pieces: ['x\n'], outcome: passed }], pieceMs: 60_000 })
    const startedAt = performance.now()
    const run = await cidery(['run', '--', 'stuck'], {
      interrupt: (press) => {
        setTimeout(press, 100)
        setTimeout(press, 250)
      },
    })
    expect(run.code).toBe(130)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('passes on what the job asks for, in the words of the API', async () => {
    const flags =
      '--queue ios --engine tart --image macos-15 --cpu 2.5 --memory 2GiB --disk 10GiB --priority -5 --timeout 1h30m --retries 1 --name nightly --network none'
    const more = [
      '--env',
      'A=1=2',
      '--env',
      'FROM_HERE',
      '--label',
      'xcode=16',
      '--secret',
      'KEY',
      '--artifact',
      'out/**',
      '--artifact',
      '*.log',
    ]
    const run = await cidery(['run', ...flags.split(' '), ...more, '--', 'make', '--jobs', '4'], { env: { FROM_HERE: 'line 1\nline "2"' } })
    expect(run.code).toBe(0)
    const [job] = [...double.state.jobs.values()]
    expect(job?.spec).toEqual({
      queue: 'ios',
      command: ['make', '--jobs', '4'],
      name: 'nightly',
      env: { A: '1=2', FROM_HERE: 'line 1\nline "2"' },
      source: { kind: 'none' },
      files: [],
      artifacts: ['out/**', '*.log'],
      engine: 'tart',
      image: 'macos-15',
      labels: { xcode: '16' },
      shape: { cpu: 2.5, memoryMiB: 2048, diskMiB: 10_240 },
      priority: -5,
      timeoutS: 5400,
      retries: 1,
      secrets: ['KEY'],
      network: 'none',
    })
  })

  it('prints only the id with --detach', async () => {
    const run = await cidery(['run', '--detach', '--', 'true'])
    expect(run.stdout).toMatch(/^job_[0-9a-z]{26}\n$/)
    expect(run.code).toBe(0)
  })

  it('ends with 125 when nobody answers, and with 2 when the command line is wrong', async () => {
    const away = await runCli(['run', '--', 'true'], { env: { CIDERY_URL: 'http://127.0.0.1:1' } })
    expect(away.code).toBe(125)
    expect(away.stderr).toContain('did not answer')
    for (const wrong of [
      ['run'],
      ['run', '--memory', 'much', '--', 'true'],
      ['run', '--engin', 'user', '--', 'true'],
      ['run', '--source', 'https://x.example/a.git', '--', 'true'],
    ]) {
      expect((await cidery(wrong)).code).toBe(2)
    }
  })

  it('passes colours of a job on to a terminal, and nothing that could change it', async () => {
    plays({
      attempts: [
        {
          pieces: ['\u001B[31mred\u001B[0m', '\u001B]52;c;ZXZpbA==\u0007', '\u001B]0;title\u0007', '\u001B[2J\u001B[5nend\n'],
          outcome: passed,
        },
      ],
    })
    const run = await cidery(['run', '--', 'paint'], { typed: [] })
    expect(run.stdout.replace('\u001B[0m\n', '\n')).toContain('\u001B[31mred\u001B[0mend')
    expect(run.stdout).not.toContain('52;c')
    expect(run.stdout).not.toContain('title')
    expect(run.stdout).not.toContain('\u001B[2J')
    expect(run.stdout).not.toContain('\u001B[5n')
  })
})

describe('run on a terminal', () => {
  it('never writes over the last line of the log, and leaves no progress behind', async () => {
    plays({ attempts: [{ pieces: ['no line break'], outcome: passed }], pieceMs: 150 })
    const both: string[] = []
    const run = await cidery(['run', '--', 'print'], { typed: [], both })
    const screen = both.join('').replaceAll('\u001B[0m', '')
    expect(screen).toContain('no line break\n')
    expect(screen.indexOf('no line break\n')).toBeGreaterThan(screen.indexOf('waits'))
    // The line that progress was shown on is empty at the end.
    expect(
      screen
        .split('\n')
        .at(-1)
        ?.replace(/^.*\r\u001B\[K/, ''),
    ).toBe('')
    expect(run.code).toBe(0)
  })
})
