import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostView, JobView } from '../../src/model/api.ts'
import { openBrowser, type Browser } from './browser.ts'
import { seededFleet, type SeededFleet } from './seeded-fleet.ts'
import { signIn } from './sign-in.ts'
import { violations } from './violations.ts'

describe('the pages of a fleet', () => {
  let fleet: SeededFleet
  let browser: Browser
  let page: Page
  const open = (path: string) => page.goto(fleet.controller.url + path)

  beforeAll(async () => {
    fleet = await seededFleet(50)
    browser = await openBrowser()
    page = browser.page
    await signIn(page, fleet.controller.url, await fleet.password())
  }, 180_000)

  afterAll(async () => {
    await browser?.close()
    await fleet?.controller.remove()
  }, 60_000)

  async function firstJob(state: string): Promise<string> {
    const { items } = await fleet.controller.api.get<{ items: readonly JobView[] }>(`/jobs?state=${state}&limit=1`)
    return `/jobs/${items[0]?.id ?? ''}`
  }

  it('have no violation, in light and in dark', async () => {
    const pages = [
      ['/', 'ios-01'],
      ['/?state=free&pool=ios', 'free'],
      ['/?view=table', 'linux-01'],
      ['/?q=nobody-is-called-this', 'No host is like that'],
      ['/queues', 'Cure:'],
      ['/jobs', 'Older jobs'],
      ['/jobs?state=ended', 'passed'],
      [`/jobs/${fleet.retriedJob}`, 'Executed 60 tests'],
      [await firstJob('queued'), 'Cure:'],
      [await firstJob('running'), 'so far'],
      ['/hosts/ios-02', 'boot proof'],
      ['/hosts/mac-03', 'lost'],
      ['/hosts/ios-21', 'the disk is full'],
      ['/nothing', 'There is no page here'],
    ] as const
    const found: Record<string, readonly string[]> = {}
    for (const [path, shows] of pages) {
      await open(path)
      await page.getByText(shows).first().waitFor()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        const all = await violations(page)
        if (all.length > 0) found[`${path} ${colorScheme}`] = all
      }
    }
    expect(found).toEqual({})
  }, 120_000)

  it('say in text why an action cannot be done, and ask for the name before a dangerous one', async () => {
    await open('/hosts/mac-03')
    const actions = page.getByRole('region', { name: 'Actions' })
    await actions.getByText('the host is lost').first().waitFor()
    const reboot = actions.getByRole('button', { name: 'Reboot' })
    expect([await reboot.getAttribute('aria-disabled'), await reboot.isEnabled()]).toEqual(['true', false])
    const reason = page.locator(`[id="${(await reboot.getAttribute('aria-describedby')) ?? ''}"]`)
    expect(await reason.innerText()).toBe('the host is lost')
    await reboot.press('Enter')
    expect(await page.getByRole('dialog').count()).toBe(0)

    const { items } = await fleet.controller.api.get<{ items: readonly HostView[] }>('/hosts?limit=500')
    const idle = items.find((host) => host.state === 'up' && host.schedulable.kind === 'open' && host.runningJobs.length === 0)
    const name = idle?.name ?? ''
    await open(`/hosts/${name}`)
    await actions.getByRole('button', { name: 'Retire' }).press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Retire' })
    expect(await violations(page)).toEqual([])
    await dialog.getByLabel(`Type ${name} to go on`).fill('another')
    await dialog.getByRole('button', { name: 'Retire' }).press('Enter')
    expect((await fleet.controller.api.get<HostView>(`/hosts/${idle?.id ?? ''}`)).state).toBe('up')
    await dialog.getByLabel(`Type ${name} to go on`).fill(name)
    await page.keyboard.press('Enter')
    await page.locator('.title').getByText('retired').waitFor()
    await actions.getByText('the host is retired').first().waitFor()
    expect((await fleet.controller.api.get<HostView>(`/hosts/${idle?.id ?? ''}`)).state).toBe('retired')
  }, 60_000)

  it('do not call a host up that cannot start a job, nor one ready that is lost', async () => {
    await open('/hosts/ios-21')
    await page.locator('.title').getByText('≠ not ready').waitFor()
    await page.getByText('Cure:').waitFor()
    await open('/hosts/mac-03')
    const readiness = page.getByRole('region', { name: 'Readiness' })
    await readiness.getByText('? was ready').waitFor()
    expect(await readiness.getByText('✓ ready').count()).toBe(0)
  }, 60_000)

  it('drain a host with the deadline that was chosen, and show that an operation keeps others away', async () => {
    const { items } = await fleet.controller.api.get<{ items: readonly HostView[] }>('/hosts?limit=500')
    const open_ = items.filter((host) => host.state === 'up' && host.schedulable.kind === 'open')
    const host = open_.find(({ name }) => name.startsWith('linux-'))
    await open(`/hosts/${host?.name ?? ''}`)
    const actions = page.getByRole('region', { name: 'Actions' })
    await actions.getByRole('button', { name: 'Drain' }).press('Enter')
    await page.getByRole('dialog', { name: 'Drain' }).getByLabel('Cancel running jobs').selectOption('after 1 hour')
    await page.getByRole('dialog', { name: 'Drain' }).getByRole('button', { name: 'Drain' }).press('Enter')
    await actions.getByText('it is draining').first().waitFor()
    const { schedulable } = await fleet.controller.api.get<HostView>(`/hosts/${host?.id ?? ''}`)
    expect(schedulable.kind === 'draining' && (schedulable.deadline ?? 0) - schedulable.at).toBe(3_600_000)
    await actions.getByRole('button', { name: 'Probe' }).press('Enter')
    await actions.getByText('it is busy with probe').first().waitFor()
    await page.getByRole('region', { name: 'Operations' }).getByText('probe').first().waitFor()
    expect(await violations(page)).toEqual([])
  }, 60_000)

  it('let a viewer look at all and change nothing', async () => {
    const password = 'looks at everything'
    await fleet.controller.api.post('/users', { name: 'viewer', role: 'viewer', password })
    const other = await openBrowser()
    try {
      const { url } = fleet.controller
      await other.page.goto(url)
      await other.page.getByLabel('Name', { exact: true }).fill('viewer')
      await other.page.getByLabel('Password').fill(password)
      await other.page.getByRole('button', { name: 'Sign in' }).click()
      await other.page.getByRole('heading', { name: 'Fleet' }).waitFor()
      await other.page.goto(`${url}/hosts/ios-02`)
      await other.page.getByText('your role may not change hosts').waitFor()
      // Said once, and every button refers to it.
      const reason = other.page.getByText('your role may not change hosts')
      const buttons = other.page.getByRole('region', { name: 'Actions' }).getByRole('button')
      const described = await buttons.evaluateAll((all) => all.map((one) => one.getAttribute('aria-describedby')))
      expect(described).toEqual(Array<unknown>(9).fill(await reason.getAttribute('id')))
      await other.page.goto(`${url}/jobs/${fleet.retriedJob}`)
      await other.page.getByText('your role may not change jobs').first().waitFor()
      await other.page.getByText('Executed 60 tests').waitFor()
    } finally {
      await other.close()
    }
  }, 60_000)

  it('are reached by keys alone, which a list explains', async () => {
    await open('/')
    await page.getByRole('link', { name: 'ios-01' }).waitFor()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).getByText('Go to a host by its name').waitFor()
    expect(await violations(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' })
    for (const [key, heading] of [
      ['q', 'Queues'],
      ['j', 'Jobs'],
      ['f', 'Fleet'],
    ] as const) {
      await page.keyboard.press('g')
      await page.keyboard.press(key)
      await page.getByRole('heading', { name: heading, exact: true }).waitFor()
      expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
    }
    await page.keyboard.press('/')
    await page.keyboard.type('mac-1')
    await page.waitForURL('**/?q=mac-1')
    await expect.poll(() => page.locator('a.tile').count()).toBe(3)
    expect(await page.evaluate('document.activeElement.getAttribute("type")')).toBe('search')
  }, 60_000)

  it('filter jobs by state, queue and host in the URL, page by page', async () => {
    await open('/jobs?queue=release')
    await page.getByText('release 4.3-beta').waitFor()
    expect(await page.getByRole('rowheader').count()).toBe(3)
    await page.getByRole('navigation', { name: 'Job states' }).getByRole('link', { name: 'queued' }).click()
    await page.waitForURL('**/jobs?state=queued&queue=release')
    await expect.poll(() => page.getByRole('rowheader').allTextContents()).toEqual(['release 4.3-beta', 'release 4.1.9'])
    await page.getByLabel('Queue').selectOption('ios')
    await page.waitForURL('**/jobs?state=queued&queue=ios')
    await page.getByText('screenshots').waitFor()
    await open('/hosts/ios-02')
    await page.getByRole('link', { name: 'all jobs of this host' }).click()
    await page.getByRole('link', { name: 'app: build and unit tests' }).waitFor()
    await open('/jobs')
    await page.getByRole('link', { name: 'Older jobs' }).click()
    await page.getByRole('link', { name: 'Newest jobs' }).waitFor()
    expect(new URL(page.url()).searchParams.get('cursor')).not.toBeNull()
  }, 60_000)

  it('show a job with its attempts on one axis, its log in colours, and find words in it', async () => {
    await open(`/jobs/${fleet.retriedJob}`)
    const timeline = page.getByRole('region', { name: 'Timeline' })
    await timeline.getByText('2 · ios-02').waitFor()
    expect(await timeline.getByText('running 3m').count()).toBe(1)
    expect(await timeline.locator('.segment').count()).toBe(10)
    await page.getByText('Executed 60 tests').waitFor()
    expect(await page.locator('.log .fg2.bold').last().textContent()).toBe('Executed 60 tests, with 0 failures')
    await page.keyboard.press('/')
    await page.keyboard.type('WARNING:')
    await page.getByText('2 of 2').waitFor()
    await page.keyboard.press('Shift+Enter')
    await page.getByText('1 of 2').waitFor()
    expect(await page.locator('.log-row.chosen .log-text').innerText()).toContain('warning: variable')
    expect(await page.locator('.log-row.chosen .log-number').innerText()).toBe('51')
    expect(await violations(page)).toEqual([])
    const file = page.getByRole('link', { name: 'build/App.ipa' })
    expect(await file.getAttribute('href')).toBe(`/api/v1/jobs/${fleet.retriedJob}/artifacts/build/App.ipa?attempt=2`)
    await page.getByRole('button', { name: 'Attempt 1 on ios-01' }).click()
    await page.getByText('infrastructure (boot): the sandbox did not boot within 2m').first().waitFor()
    await page.getByText('Nothing written yet.').waitFor()
  }, 60_000)

  it('complained of nothing all the while', () => {
    expect(browser.complaints).toEqual([])
  })
})
