import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { broken, readStory, tellStory } from './story.ts'

const folder = join(import.meta.dirname, 'stories')
const scripts = (await readdir(folder)).filter((name) => name.endsWith('.yaml') && name !== 'incidents.yaml')

describe('a story of the field', () => {
  it.each(scripts.map((script) => script.slice(0, -'.yaml'.length)))(
    'ends as it must, and is told the same each time: %s',
    async (name) => {
      const story = readStory(await readFile(join(folder, `${name}.yaml`), 'utf8'))
      const told = await tellStory(story)
      // Before the journal: an update must not take a wrong one for right.
      expect(broken(story, told)).toEqual([])
      await expect(told.journal).toMatchFileSnapshot(join(folder, `${name}.journal`))
    },
  )
})
