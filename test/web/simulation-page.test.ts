import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { simulationPage } from '../../src/simulate/page/page.ts'
import { compare } from '../../src/simulate/replay/compare.ts'
import { firstCome } from '../simulate/first-come.ts'
import { openBrowser } from './browser.ts'
import { violations } from './violations.ts'

const directory = await mkdtemp(join(tmpdir(), 'cidery-simulation-page-'))
const url = `file://${directory}/day.html`
afterAll(() => rm(directory, { recursive: true, force: true }))

beforeAll(async () => {
  const rows = Array.from({ length: 60 }, (_, index) => `app,${1_772_435_827_000 + index * 45_000},${120_000 + (index % 7) * 60_000}\n`)
  const trace = { file: 'jobs.csv', text: `queue,submittedAt,runsMs\n${rows.join('')}` }
  const options = { trace, specs: [], whatIf: ['hosts=+1', 'hosts=+2'], hosts: { hosts: '2', price: '0.6' }, queues: {}, seed: 1 }
  await writeFile(join(directory, 'day.html'), simulationPage(await compare(options, firstCome, () => undefined)))
})

describe('the page of a simulation', () => {
  it.each([false, true])('has no violations and asks for nothing, dark: %s', async (dark) => {
    const browser = await openBrowser({ dark })
    try {
      const asked: string[] = []
      browser.page.on('request', (request) => asked.push(request.url()))
      await browser.page.goto(url)
      expect(await browser.page.getByRole('img', { name: 'How long jobs wait' }).count()).toBe(1)
      const closed = browser.page.locator('details:not([open]) > summary')
      while ((await closed.count()) > 0) await closed.first().click()
      expect(await browser.page.getByRole('table').count()).toBe(5)
      expect(await violations(browser.page)).toEqual([])
      expect(asked).toEqual([url])
      expect(browser.complaints).toEqual([])
    } finally {
      await browser.close()
    }
  })

  it('fits a narrow window: only charts are scrolled, by themselves', async () => {
    const browser = await openBrowser()
    try {
      await browser.page.setViewportSize({ width: 380, height: 700 })
      await browser.page.goto(url)
      const root = browser.page.locator('html')
      expect(await root.evaluate(({ scrollWidth }) => scrollWidth)).toBe(380)
    } finally {
      await browser.close()
    }
  })
})
