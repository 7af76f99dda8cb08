import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findEntry, isGroup } from '../../src/cli/declare.ts'
import { tree } from '../../src/cli/tree.ts'
import { runCli } from './run-cli.ts'

const root = join(import.meta.dirname, '..', '..')

describe('the reference pages', () => {
  it.each(['cli', 'errors'])('docs/reference/%s.md is what the program prints (cidery help --markdown)', async (page) => {
    const run = await runCli(['help', '--markdown', page])
    expect(await readFile(join(root, 'docs', 'reference', `${page}.md`), 'utf8')).toBe(run.stdout)
  })

  it('has a heading for each error, where errors point to', async () => {
    const page = await readFile(join(root, 'docs', 'reference', 'errors.md'), 'utf8')
    const run = await runCli(['job', 'ls'])
    const anchor = /docs\/reference\/errors\.md#(\w+)/.exec(run.stderr)?.[1] ?? 'no link'
    expect(page).toContain(`\n## ${anchor}\n`)
  })
})

/** Every source file below a folder. */
async function sources(folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.(?:ts|tsx)$/.test(entry.name) && !entry.name.includes('.test.'))
    .map((entry) => join(entry.parentPath, entry.name))
}

describe('what errors and pages tell people to type', () => {
  it('names commands that there are', async () => {
    const wrong: string[] = []
    for (const file of [...(await sources('src')), ...(await sources('web/src'))]) {
      const text = await readFile(file, 'utf8')
      for (const [, before = '', noun = '', verb = ''] of text.matchAll(/(.)cidery ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?/g)) {
        const problem = await problemOf(noun, verb, before === '`')
        if (problem !== undefined) wrong.push(`${file.slice(root.length + 1)}: ${problem}`)
      }
    }
    expect(wrong.filter((line) => !known.has(line))).toEqual([])
  })
})

/** Hints that still have to be corrected where they stand. */
const known = new Set(['src/record/operations.ts: cidery host operation'])

/** Words that follow `cidery` in sentences which begin with it. */
const prose = new Set(['noun', 'installs', 'does', 'could', 'journal'])

/** What is wrong with `cidery noun verb`. A word that is no noun is prose, unless it stands in backticks. */
async function problemOf(noun: string, verb: string, isCode: boolean): Promise<string | undefined> {
  const entry = findEntry(tree, noun)
  if (entry === undefined) return isCode && !prose.has(noun) ? `cidery ${noun}` : undefined
  const node = await entry.load()
  if (!isGroup(node) || verb === '') return undefined
  return node.verbs.some((one) => one.name === verb || one.aliases?.includes(verb) === true) ? undefined : `cidery ${noun} ${verb}`
}
