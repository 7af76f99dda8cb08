import { expect, it } from 'vitest'
import { tryOnce } from '../e2e/try-once.ts'

it('builds the example of the README in a virtual machine of its own', async () => {
  const { code, text, program } = await tryOnce(['--engine', 'qemu', '--listen', '127.0.0.1:17900'])
  expect(text).toContain('built in qemu: ')
  expect(program).toBeDefined()
  expect({ code, end: code === 0 ? '' : text.slice(-3000) }).toEqual({ code: 0, end: '' })
}, 600_000)
