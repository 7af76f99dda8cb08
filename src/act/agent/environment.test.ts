import { describe, expect, it } from 'vitest'
import { jobEnvironment, launchProblem, scriptWords } from './environment.ts'

const sandbox = {
  user: 'bk-1',
  mounted: null,
  paths: { home: '/home/bk-1', work: '/home/bk-1/work', temporary: '/tmp', secrets: '/run/secrets' },
}
const job = { jobId: 'job_1', number: 2, queue: 'default' }

describe('the environment of a job', () => {
  it('is the allow-list and what the job sets, and nothing of ours can be overwritten', () => {
    const env = jobEnvironment(sandbox, { ...job, env: { PATH: '/opt/bin', X: 'a\nb', CIDERY_QUEUE: 'other' } }, 'linux')
    expect(env).toEqual({
      PATH: '/opt/bin',
      SHELL: '/bin/sh',
      LANG: 'C.UTF-8',
      HOME: '/home/bk-1',
      USER: 'bk-1',
      LOGNAME: 'bk-1',
      TMPDIR: '/tmp',
      CI: 'true',
      X: 'a\nb',
      CIDERY_JOB_ID: 'job_1',
      CIDERY_ATTEMPT: '2',
      CIDERY_QUEUE: 'default',
      CIDERY_SECRETS: '/run/secrets',
      CIDERY_WORK: '/home/bk-1/work',
    })
  })

  it('names what the kernel would refuse', () => {
    expect(launchProblem(['a', 'b'], { X: 'y' }, 'linux')).toBeNull()
    expect(launchProblem(['a', 'b\0'], {}, 'linux')).toBe('word 1 of the command contains a NUL byte')
    expect(launchProblem(['a'], { X: 'y'.repeat(131_072) }, 'linux')).toContain('the variable X is')
    expect(launchProblem(['a'], { X: 'y'.repeat(131_069) }, 'linux')).toBeNull()
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, place) => [`V${place}`, 'y'.repeat(120_000)]))
    expect(launchProblem(['a'], many, 'linux')).toContain('together')
  })
})

describe('a script', () => {
  it.each([
    ['echo hi', ['/bin/sh', '-e', '/s']],
    ['#!/bin/bash\necho', ['/bin/bash', '/s']],
    ['#! /usr/bin/env  python3 \r\nprint()', ['/usr/bin/env', 'python3', '/s']],
    ['#!/usr/bin/env -S node --no-warnings\n', ['/usr/bin/env', '-S node --no-warnings', '/s']],
    ['#!/bin/sh', ['/bin/sh', '/s']],
    [' #!/bin/bash\n', ['/bin/sh', '-e', '/s']],
  ])('%j is run by the words of its first line', (script, words) => {
    expect(scriptWords(script, '/s')).toEqual(words)
  })
})
