import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { checkout, temporaryDirectory } from './processes.ts'

it('brings everything up with the first command and builds a real C program in a clean account', async () => {
  const directory = await temporaryDirectory('try')
  try {
    const state = join(directory.path, 'state')
    const child = spawn('npm', ['run', 'try', '--', '--once', '--state', state, '--listen', '127.0.0.1:17700'], {
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const printed: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => printed.push(bytes))
    const code = await new Promise((resolve) => child.once('close', resolve))
    const text = Buffer.concat(printed).toString()
    expect(text).toMatch(/^(?:gcc|cc) .*-c /m)
    expect(text).toContain('▸ built: ')
    expect({ code, end: code === 0 ? '' : text.slice(-3000) }).toEqual({ code: 0, end: '' })
    const program = ['bzip2', 'wordcount'].map((name) => join(state, 'artifacts', name)).find((path) => existsSync(path))
    expect(program).toBeDefined()
  } finally {
    await directory.remove()
  }
}, 300_000)
