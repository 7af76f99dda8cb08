import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../../tools/run.js'

interface Source {
  readonly file: string
  readonly code: string
}

/** Code without its comments: a comment may well speak of what the code does not do. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, '')
}

const sources: readonly Source[] = globSync(['src/**/*.ts', 'bin/**/*.js'], { cwd: root })
  .filter((file) => !file.endsWith('.test.ts'))
  .map((file) => ({ file, code: withoutComments(readFileSync(join(root, file), 'utf8')) }))

const kills = /\bprocess\.kill\(|\.kill\(|['"`]kill['"`]|\bkill -|\bSIGKILL\b|\bSIGTERM\b/
/** Tools that end processes by their name, or that find them by it. */
const byName =
  /\b(?:pkill|killall|pgrep|pidof|taskkill|skill|fuser)\b|\bkillall5\b|launchctl['"`, ]+(?:kill|kickstart)|systemctl['"`, ]+kill/
const listsProcesses = /['"`]ps['"`]|\/proc\/\$\{[^}]*\}\/(?:cmdline|comm|exe)\b|['"`](?:cmdline|comm|exe)['"`]/
/** Code that decides whether another agent or controller is there. */
const guardsIdentity = /\bAGENT_LOCKED\b|\bCONTROLLER_LOCKED\b/

function offenders(isOne: (source: Source) => boolean): readonly string[] {
  return sources.filter(isOne).map(({ file }) => file)
}

describe('there is no code path that kills a duplicate agent', () => {
  it('reads the whole source, and code of each kind it looks for is recognised [003-11]', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(sources.some(({ file }) => file.startsWith('src/'))).toBe(true)
    expect(kills.test("process.kill(pid, 'SIGTERM')")).toBe(true)
    expect(byName.test("run(['pkill', '-f', 'cidery agent'])")).toBe(true)
    expect(listsProcesses.test("run(['ps', 'aux'])")).toBe(true)
    expect(withoutComments('a() // pkill\n/* killall */ b()')).not.toMatch(byName)
  })

  it('no source ends or finds processes by name [003-11]', () => {
    expect(offenders(({ code }) => byName.test(code))).toEqual([])
  })

  it('no source that looks at the names or command lines of processes ends any, but for engines, which go by user id [003-11]', () => {
    expect(
      offenders(({ file, code }) => !file.startsWith('src/drivers/engines/') && listsProcesses.test(code) && kills.test(code)),
    ).toEqual([])
  })

  it('no engine knows what an agent is [003-11]', () => {
    const namesAgents = /cidery['"` ]+agent|\bagents?\b.*\.(?:test|match|includes)\(/
    expect(offenders(({ file, code }) => file.startsWith('src/drivers/engines/') && kills.test(code) && namesAgents.test(code))).toEqual([])
  })

  it('no source that finds another holder of the identity lock ends any process [003-11]', () => {
    expect(
      offenders(
        ({ file, code }) => (guardsIdentity.test(code) || /\block\b/.test(file)) && !file.endsWith('errors.ts') && kills.test(code),
      ),
    ).toEqual([])
  })
})
