import { afterEach, beforeEach, expect, it } from 'vitest'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'

let double: ApiDouble

beforeEach(async () => {
  double = await startApiDouble()
})

afterEach(async () => {
  await double.close()
})

async function verdict(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const options = { env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token, ...env } }
  const plain = await runCli(['doctor', ...args], options)
  const json = await runCli(['doctor', ...args, '--json'], options)
  expect(json.code).toBe(plain.code)
  return {
    code: plain.code,
    text: plain.stdout,
    last: plain.stdout.trimEnd().split('\n').at(-1),
    verdict: (JSON.parse(json.stdout) as { readonly verdict: string }).verdict,
  }
}

it('ends with 0, 1 or 2 for healthy, degraded or failed, in words and as JSON [002-155]', async () => {
  expect(await verdict()).toMatchObject({ code: 0, last: 'healthy', verdict: 'healthy' })
  const [id, host] = [...double.state.hosts.entries()][0] ?? []
  if (id === undefined || host === undefined) throw new Error('the double has no host')
  double.state.hosts.set(id, { ...host, schedulable: { kind: 'cordoned', by: 'user:admin', at: 1, reason: '' } })
  expect(await verdict([host.name])).toMatchObject({ code: 1, last: 'degraded', verdict: 'degraded' })
  double.state.hosts.set(id, { ...host, state: 'lost', silentMs: 90_000 })
  const lost = await verdict([host.name])
  expect(lost).toMatchObject({ code: 2, last: 'failed', verdict: 'failed' })
  expect(lost.text).toContain('silent for 90 s')
})

it('prints the next command under each check that did not pass', async () => {
  const refused = await verdict([], { CIDERY_TOKEN: 'cidery_tok_wrong' })
  expect(refused.text).toMatch(/✗ FAILED {3}credential: .*\n\s+next: .*CIDERY_TOKEN/)
  const away = await verdict([], { CIDERY_URL: 'http://127.0.0.1:1' })
  expect(away.text).toMatch(/✗ FAILED {3}controller: .*did not answer.*ECONNREFUSED.*\n\s+next: /)
  const nowhere = await verdict([], { CIDERY_URL: '' })
  expect(nowhere.text).toMatch(/✗ FAILED {3}address: .*\n\s+next: .*cidery up/)
})
