import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'cidery.js')

function cidery(...args: string[]) {
  return spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', CIDERY_STATE: '/nonexistent' },
  })
}

describe('the program', () => {
  it('answers --version, --help and help in words of its own', () => {
    expect(cidery('--version')).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^cidery \d+\.\d+\.\d+\n$/) })
    expect(cidery('--help').stdout).toContain('Examples:\n')
    expect(cidery('help').stdout).toBe(cidery('--help').stdout)
    expect(cidery('help', 'exit-codes').stdout).toContain('125')
  })

  it('prints the usage on stderr for a word that is no command, and ends with 2 [000-42]', () => {
    for (const words of [['jub'], ['job', 'lss'], ['--url', 'x', 'jub']]) {
      const run = cidery(...words)
      expect(run.status).toBe(2)
      expect(run.stdout).toBe('')
      expect(run.stderr).toContain(`unknown command '${words.at(-1) ?? ''}'`)
      expect(run.stderr).toMatch(/usage: cidery .*<command>/)
      expect(run.stderr).toMatch(/Did you mean (?:job|ls)\?/)
    }
  })

  it('shows the help of a noun on stderr when the verb is missing, and ends with 2', () => {
    const run = cidery('host')
    expect(run.status).toBe(2)
    expect(run.stderr).toContain('Examples:')
    expect(run.stdout).toBe('')
  })

  it('suggests the option that was meant', () => {
    expect(cidery('run', '--artefact', 'x', '--', 'true').stderr).toContain('Did you mean --artifact?')
  })

  it('ends quietly when the reader of its output leaves', () => {
    const run = spawnSync('sh', ['-c', `"${process.execPath}" "${launcher}" help --markdown cli | head -1`], { encoding: 'utf8' })
    expect(run.stdout).toBe('# The command line\n')
    expect(run.stderr).toBe('')
  })
})
