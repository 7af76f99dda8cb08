import { execFile, execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'cidery.js')
let double: ApiDouble
let directory: string

beforeAll(async () => {
  double = await startApiDouble()
  directory = await mkdtemp(join(tmpdir(), 'cidery-completion-test-'))
  await writeFile(join(directory, 'cidery'), `#!/bin/sh\nexec "${process.execPath}" "${launcher}" "$@"\n`)
  await chmod(join(directory, 'cidery'), 0o755)
  await writeFile(join(directory, 'script.sh'), '')
  for (const shell of ['bash', 'zsh', 'fish'])
    await writeFile(join(directory, `completion.${shell}`), (await runCli(['completion', shell])).stdout)
})

afterAll(async () => {
  await double.close()
  await rm(directory, { recursive: true, force: true })
})

/** Runs a shell without the user's settings, with our `cidery` first on the PATH. */
async function shell(program: string, args: readonly string[]): Promise<string> {
  const env = {
    PATH: `${directory}:${process.env['PATH'] ?? ''}`,
    HOME: directory,
    TERM: 'xterm',
    CIDERY_URL: double.url,
    CIDERY_TOKEN: double.token,
    CIDERY_STATE: join(directory, 'none'),
  }
  const { stdout } = await promisify(execFile)(program, [...args], { env, cwd: directory, timeout: 30_000 })
  return stdout
}

/** What each shell offers for a line whose last word is being typed. */
const shells: Readonly<Record<string, (line: string) => Promise<readonly string[]>>> = {
  async bash(line) {
    const words = line.split(' ')
    const script = `source completion.bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _cidery; printf '%s\\n' "\${COMPREPLY[@]}"`
    return wordsOf(await shell('bash', ['--norc', '-c', script]))
  },
  async zsh(line) {
    // compadd writes what it was given instead of showing it; the widgets of an interactive shell are not needed.
    const script = `autoload -Uz compinit; compinit -D -u 2>/dev/null; source completion.zsh
      _describe() { print -l -- "\${(@P)4%%:*}" }
      compadd() { [[ $1 == -- ]] && shift; print -l -- "$@" }
      _files() { print -l -- * }
      words=(${line
        .split(' ')
        .map((word) => `'${word}'`)
        .join(' ')}); CURRENT=$#words; _cidery`
    const last = line.split(' ').at(-1) ?? ''
    return wordsOf(await shell('zsh', ['-f', '-c', script])).filter((word) => word.startsWith(last))
  },
  async fish(line) {
    const output = await shell('fish', ['--no-config', '-c', `source completion.fish; complete --do-complete '${line}'`])
    return wordsOf(output.replaceAll(/\t.*$/gm, ''))
  },
}

function wordsOf(text: string): readonly string[] {
  return text.split('\n').filter((word) => word !== '')
}

const missing = Object.keys(shells).filter((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    // Not installed: `npm test` installs them and is red when it could not.
    return true
  }
})
if (missing.length > 0) process.stderr.write(`completion is not tried in ${missing.join(', ')}: not installed\n`)

describe.each(Object.keys(shells).filter((name) => !missing.includes(name)))('completion in %s', (name) => {
  const complete = (line: string) => shells[name]?.(line) ?? Promise.resolve([])

  it('offers commands and verbs', async () => {
    expect(await complete('cidery jo')).toEqual(['job'])
    expect(await complete('cidery job ')).toEqual(
      expect.arrayContaining(['ls', 'show', 'logs', 'cancel', 'rerun', 'explain', 'artifacts', 'submit']),
    )
    expect(await complete('cidery vm sna')).toEqual(['snapshot'])
    expect(await complete('cidery __')).toEqual([])
  })

  it('offers options, also after others, and values that are fixed', async () => {
    expect(await complete('cidery run --artifacts')).toEqual(['--artifacts-dir'])
    expect(await complete('cidery run --queue default --eng')).toEqual(['--engine'])
    expect([...(await complete('cidery run --engine '))].toSorted()).toEqual(['qemu', 'tart', 'user'])
    expect(await complete('cidery job ls -o js')).toEqual(['json'])
    expect([...(await complete('cidery completion '))].toSorted()).toEqual(['bash', 'fish', 'zsh'])
  })

  it('asks the controller for names', async () => {
    expect(await complete('cidery host show mini-')).toEqual(['mini-1', 'mini-2'])
    expect(await complete('cidery host cordon mini-1 mini-')).toEqual(['mini-1', 'mini-2'])
    expect(await complete('cidery run --queue ')).toEqual(['default'])
    expect(await complete('cidery --url x host show mini-')).toEqual(['mini-1', 'mini-2'])
    expect(await complete('cidery explain host/mini-')).toEqual(['host/mini-1', 'host/mini-2'])
  })

  it('offers files where a file is wanted', async () => {
    expect(await complete('cidery job submit --script scr')).toEqual(['script.sh'])
    expect(await complete('cidery run -- cat scr')).toEqual(['script.sh'])
  })
})

describe('__complete', () => {
  it('says nothing and succeeds, soon, when the controller does not answer', async () => {
    const startedAt = performance.now()
    const run = await runCli(['__complete', 'host'], { env: { CIDERY_URL: 'http://127.0.0.1:1' } })
    expect(run).toMatchObject({ code: 0, stdout: '', stderr: '' })
    double.faults.refuse = () => undefined
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('never gives a shell a name that it would expand', async () => {
    const [host] = [...double.state.hosts.values()].slice(0, 1)
    if (host === undefined) throw new Error('the double has no host')
    double.state.hosts.set('evil', { ...host, id: 'evil', name: '$(touch hacked)' })
    const run = await runCli(['__complete', 'host'], { env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token } })
    double.state.hosts.delete('evil')
    expect(run.stdout).toBe('mini-1\nmini-2\n')
  })
})
