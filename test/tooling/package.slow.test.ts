import { expect, it } from 'vitest'
import { run } from '../../tools/run.js'

it('the package that would be published installs elsewhere and runs there', async () => {
  const { code, output } = await run(['node', 'tools/pack-check.js'], { timeoutMs: 280_000 })
  expect(output).toContain('ok: cidery --version')
  expect(output).toContain('ok: cidery --help')
  expect(code).toBe(0)
})
