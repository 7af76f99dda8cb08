import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JobView } from '../../src/model/api.ts'
import { the } from '../doubles/the.ts'
import { openBrowser, type Browser } from './browser.ts'
import { seededFleet, type SeededFleet } from './seeded-fleet.ts'
import { signIn } from './sign-in.ts'

describe('a page that is told no', () => {
  let fleet: SeededFleet
  let browser: Browser
  /** A tab of its own for each test: that an answer is no is a complaint of the browser's, and wanted here. */
  let tab: Page
  const open = (path: string) => tab.goto(fleet.controller.url + path)

  beforeAll(async () => {
    fleet = await seededFleet(2)
    browser = await openBrowser()
    await signIn(browser.page, fleet.controller.url, await fleet.password())
    // Else its polls notice first that the session is over.
    await browser.page.goto('about:blank')
  }, 180_000)

  beforeEach(async () => {
    tab = await browser.page.context().newPage()
  })

  afterEach(async () => {
    await tab.close()
  })

  afterAll(async () => {
    await browser?.close()
    await fleet?.controller.remove()
  }, 60_000)

  it('says why a log cannot be read, does not ask again by itself, and reads it when it is asked to', async () => {
    let asked = 0
    await tab.route('**/log?*', async (route) => {
      asked += 1
      await route.fulfill({
        status: 403,
        contentType: 'application/problem+json',
        body: JSON.stringify({ detail: 'this log is for others', hint: 'ask its owner' }),
      })
    })
    await open(`/jobs/${fleet.retriedJob}`)
    const log = tab.getByRole('region', { name: 'Log' })
    await log.getByText('✕ refused').waitFor()
    expect(await log.getByRole('alert').innerText()).toBe('this log is for others — ask its owner')
    const before = asked
    // A lost connection is tried again each second.
    await tab.waitForTimeout(2500)
    expect(asked).toBe(before)
    await tab.unroute('**/log?*')
    await tab.getByRole('button', { name: 'Follow the end' }).click()
    await log.getByText('Executed 60 tests').waitFor()
    await log.getByText('■ complete').waitFor()
    expect(await log.getByRole('alert').count()).toBe(0)
  }, 60_000)

  it('opens the stream of events again that was refused', async () => {
    let asked = 0
    await tab.route('**/api/v1/events', async (route) => {
      asked += 1
      if (asked > 1) return route.continue()
      await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{}' })
    })
    await open('/')
    await tab.getByText('looking every 10 s').waitFor()
    await tab.getByText('● live').waitFor()
    expect(asked).toBe(2)
  }, 60_000)

  it('asks who is there when the session is over, and is where it was afterwards', async () => {
    await open(`/jobs/${fleet.retriedJob}`)
    await tab.getByText('■ complete').waitFor()
    await tab.context().clearCookies()
    await tab.getByRole('button', { name: 'Go to the start' }).click()
    await tab.getByText('your session is over: sign in again').waitFor()
    await tab.getByLabel('Name', { exact: true }).fill('admin')
    await tab.getByLabel('Password').fill(await fleet.password())
    await tab.getByRole('button', { name: 'Sign in' }).click()
    await tab.getByText('Executed 60 tests').waitFor()
    expect(new URL(tab.url()).pathname).toBe(`/jobs/${fleet.retriedJob}`)
  }, 60_000)

  it('says that a log is not kept any more', async () => {
    const job = await fleet.controller.api.get<JobView>(`/jobs/${fleet.retriedJob}`)
    const attempt = the(job.attempts.at(-1))
    await rm(join(fleet.controller.state, 'blobs', 'logs', attempt.id))
    await open(`/jobs/${job.id}`)
    await tab.getByText('■ complete').waitFor()
    const words = `This log of ${attempt.logBytes.toLocaleString('en-US')} bytes is not kept any more.`
    expect(await tab.locator('.log-foot').innerText()).toBe(words)
  }, 60_000)
})
