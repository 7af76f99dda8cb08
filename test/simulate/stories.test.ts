import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { eventKinds } from '../../src/model/event.ts'
import { Pool, Spec } from '../../src/model/spec.ts'
import { broken, readStory, tellStory, type Story } from './story.ts'

const folder = join(import.meta.dirname, 'stories')
const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml') && name !== 'incidents.yaml').map((name) => name.slice(0, -5))

async function story(name: string): Promise<Story> {
  return readStory(await readFile(join(folder, `${name}.yaml`), 'utf8'))
}

describe('a story of the field', () => {
  it.each(names)('ends as it must, and is told as it is kept: %s', async (name) => {
    const script = await story(name)
    const told = await tellStory(script)
    // Before the journal: an update must not take a wrong one for right.
    expect(broken(script, told)).toEqual([])
    await expect(told.journal).toMatchFileSnapshot(join(folder, `${name}.journal`))
  })

  it('says what is wrong when it does not end as it must', async () => {
    const script = await story('network-back-in-time')
    const told = await tellStory(script)
    const wrong = {
      jobs: { 'short-job': { ends: 'exit code 1', attempts: 2, on: ['mini-9'] } },
      hosts: { 'mini-1': 'up, cordoned' },
      attemptsOn: { 'mini-2': 7 },
      inOrder: ['is at rest', 'starts'],
      never: ['reports for the first time'],
      restWithin: '1s',
    }
    expect(broken({ ...script, expect: wrong }, told)).toEqual([
      expect.stringMatching(/^it came to rest after \d+ ms$/),
      'short-job ended with exit code 0, not exit code 1',
      'attempts of short-job: 1, not 2',
      expect.stringMatching(/^short-job was on mini-\d, not mini-9$/),
      'the story does not say how long-job ends',
      'mini-1 is up, open, not up, cordoned',
      'attempts on mini-2: 1, not 7',
      expect.stringMatching(/^no line from \d+ on is like starts$/),
      expect.stringMatching(/^what must never be was: .* reports for the first time$/),
    ])
  })
})

const Incidents = z.array(
  z.strictObject({
    incident: z.string(),
    from: z.string(),
    stories: z.array(z.string()),
    waits: z.array(z.strictObject({ for: z.string(), story: z.string() })).default([]),
  }),
)

/** Whether a subject is built by now, so that its story is due. */
const isBuilt: Readonly<Record<string, () => boolean>> = {
  lifetimes: () => Object.keys(Pool.shape).some((field) => /life/i.test(field)),
  registrations: () => eventKinds.some((kind) => /registration/i.test(kind)) || 'ci' in Spec.shape,
  scaling: () => Object.keys(Pool.shape).some((field) => /scal|size/i.test(field)),
  providers: () => Pool.safeParse({ provider: 'ec2-mac' }).success || Pool.safeParse({ provider: 'orka' }).success,
  'simulated releases': () => simulationDrivers().releases.refusal === null,
  'simulated image builds': () => existsSync(join(import.meta.dirname, '../../src/simulate/images.ts')),
}

describe('the list of incidents', async () => {
  const incidents = Incidents.parse(parse(await readFile(join(folder, 'incidents.yaml'), 'utf8')))

  it('has every story, once', () => {
    expect(incidents.flatMap(({ stories }) => stories).toSorted()).toEqual(names.toSorted())
  })

  it('tells each incident, or says what it waits for', () => {
    expect(incidents).toHaveLength(10)
    expect(incidents.filter(({ stories, waits }) => stories.length === 0 && waits.length === 0)).toEqual([])
  })

  it.each(incidents.flatMap(({ waits }) => waits.map((wait) => [wait.for, wait.story])))(
    'lets a story wait only while there is no such thing: %s',
    (subject) => {
      const built = isBuilt[subject]
      expect(built, `nobody looks whether there are ${subject}`).toBeDefined()
      expect(built?.(), `there are ${subject} by now: tell the story, and take this entry out`).toBe(false)
    },
  )
})
