import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { ownSettings, removeSettings, requestFor } from './support/engine-under-test.ts'

interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a program as a user without any rights, who sees the checkout at a path that is open to all. */
async function asNobody(words: readonly string[]): Promise<Ran> {
  const open = mkdtempSync('/tmp/cidery-nobody-')
  const script = `chmod 755 ${open} && mount --bind "$PWD" ${open} && cd ${open} && exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent TMPDIR=/tmp "$@"`
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'as-nobody', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  rmSync(open, { recursive: true })
  return { code, output }
}

/** By a path inside the checkout: wherever that lies, it is where nobody sees it. */
const node = 'node_modules/.bin/node'

describe('the user engine without root', () => {
  it('keeps the whole contract of an engine, with directories instead of accounts', async () => {
    const vitest = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      'unit',
      'test/contract/engine.test.ts',
      '--configLoader',
      'runner',
      '--no-color',
    ]
    const { code, output } = await asNobody([node, ...vitest])
    expect(output).toMatch(/Tests\s+\d+ passed/)
    expect([code, output.includes('failed')]).toEqual([0, false])
  })

  it('says how weak it is, and gives neither limits nor a network that it cannot give', async () => {
    const script = `
      import { makeUserEngine } from './src/drivers/engines/user/index.ts'
      import { mkdtempSync, rmSync } from 'node:fs'
      const stateDir = mkdtempSync('/tmp/cidery-engine-')
      const engine = makeUserEngine({ stateDir })
      const request = { id: 'att_01k00000000000000000000001', jobId: 'job_01k00000000000000000000001', image: null, shape: { cpu: 1, memoryMiB: 64, diskMiB: 64 }, blockedAddresses: [], mount: null }
      const refused = []
      for (const wish of [{ limits: 'enforced', network: 'host' }, { limits: 'advisory', network: 'nat' }, { limits: 'advisory', network: 'host', mount: '/usr' }]) await engine.create({ ...request, ...wish }).catch((error) => refused.push(error.code + ' ' + error.message))
      const sandbox = await engine.create({ ...request, limits: 'advisory', network: 'host' })
      console.log(JSON.stringify({ facts: await engine.probe(), refused, sandbox }))
      await engine.sweep(new Set())
      rmSync(stateDir, { recursive: true })
    `
    const { code, output } = await asNobody([node, '--input-type=module-typescript', '-e', script])
    expect([code, output]).toEqual([0, expect.stringContaining('facts')])
    const told = JSON.parse(output) as { facts: object; refused: string[]; sandbox: { isolation: string; notes: string[] } }
    expect(told.facts).toMatchObject({ ok: true, isolation: 'directory', capabilities: { networks: ['host'], limits: [] } })
    expect(told.refused).toEqual([
      expect.stringMatching(/^UNSUPPORTED .*limit/),
      expect.stringMatching(/^UNSUPPORTED .*nat/),
      expect.stringMatching(/^MOUNT_REFUSED /),
    ])
    expect(told.sandbox.isolation).toBe('directory')
    expect(told.sandbox.notes.join()).toContain('isolation is only a directory')
  })

  it('is refused to root: a job never runs as root', async () => {
    const settings = ownSettings()
    const engine = makeUserEngine({ ...settings, isolation: 'directory' })
    expect(await engine.probe()).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([expect.stringContaining('root')]) as string[],
    })
    await expect(engine.create(await requestFor(engine))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    removeSettings(settings)
  })
})
