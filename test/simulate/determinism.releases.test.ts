import { expect, it } from 'vitest'
import { earlierNode, earlierNodeProgram } from '../../tools/release/node-binaries.js'
import { hashInChild } from './hash-in-child.ts'

it('gives the same journal on an earlier Node of the same line', async () => {
  const earlier = await hashInChild(earlierNodeProgram(), {})
  const here = await hashInChild(process.execPath, {})
  expect(earlier.version).toBe(earlierNode)
  expect(here.version).not.toBe(earlier.version)
  expect(earlier.hash).toBe(here.hash)
})
