import { expect, it } from 'vitest'
import { tryOnce } from './try-once.ts'

it('brings everything up with the first command and builds a real C program in a clean account', async () => {
  const { code, text, program } = await tryOnce(['--listen', '127.0.0.1:17700'])
  expect(text).toMatch(/^(?:gcc|cc) .*-c /m)
  expect(text).toContain('▸ built in user: ')
  expect({ code, end: code === 0 ? '' : text.slice(-3000) }).toEqual({ code: 0, end: '' })
  expect(program).toBeDefined()
}, 300_000)
