import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const source = fileURLToPath(new URL('../../src', import.meta.url))

function files(): readonly string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
}

describe('the source of cidery', () => {
  it('has no code that ends another agent or any process by its name [003-11]', () => {
    expect(files().length).toBeGreaterThan(100)
    const byName = /\b(?:pkill|killall|pgrep|taskkill)\b/
    const found = files().filter((name) => byName.test(readFileSync(join(source, name), 'utf8')))
    expect(found).toEqual([])
    // Who else holds the lock is only named in a message: the lock and the start of an agent send no signal.
    const signals = /process\.kill\(|\.kill\(/
    const starting = [
      'main/agent.ts',
      'main/agent-service.ts',
      'loop/agent.ts',
      'loop/agent/start.ts',
      ...files().filter((name) => name.startsWith('drivers/locks/')),
    ]
    expect(starting.filter((name) => signals.test(readFileSync(join(source, name), 'utf8')))).toEqual([])
  })
})
