import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { safetyProperties } from '../../src/simulate/properties/registry.ts'
import { edited, huntOf, type HuntAnswer } from './mutants/mutant.ts'
import { mutants } from './mutants/registry.ts'

const root = join(import.meta.dirname, '..', '..')
/** What is looked at besides the safety properties. */
const others = ['rest', 'settling', 'logs']

describe('known bad changes', () => {
  it.each(mutants)('$name: can be made to the code as it is', ({ edits }) => {
    for (const edit of edits) expect(edited(readFileSync(join(root, edit.file), 'utf8'), edit)).toContain(edit.to)
  })

  it('have names of their own', () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  })

  it('break every property at least once: one that nothing breaks is worth nothing', () => {
    const broken = new Set(mutants.map(({ breaks }) => breaks))
    expect([...broken].toSorted()).toEqual([...safetyProperties.map(({ name }) => name), ...others].toSorted())
  })
})

/** Those that one of the first seeds finds within a second or two. */
const quick = new Set([
  'believe any exit code',
  'send a job only once',
  'adopt nothing',
  'look at an engine once',
  'give jobs to a cordoned host',
  'one guest too many',
  'count what cleans up as gone',
  'count only the guests of live attempts',
  'obey an older wish',
  'sweep without owners at the start',
  'clean up after the end',
  'keep the machine for the next job of the queue',
  'log who got which secret',
  'cordon without a line',
  'act under any epoch',
])

describe('the search', () => {
  it.each(mutants.filter(({ name }) => quick.has(name)))('finds: $name', async (mutant) => {
    const child = join(import.meta.dirname, 'mutants', 'hunt.child.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [child, JSON.stringify(huntOf(mutant, [1, 2, 3, 4]))])
    expect((JSON.parse(stdout) as HuntAnswer).property).toBe(mutant.breaks)
  })
})
