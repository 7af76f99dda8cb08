import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostView, JobView, OperationView } from '../../src/model/api.ts'
import { openBrowser, type Browser } from './browser.ts'
import { pressOn, tabTo, walkRound } from './keyboard.ts'
import { seededFleet, type SeededFleet } from './seeded-fleet.ts'

/** No mouse: nothing here clicks, and nothing gets the focus but by keys. */
describe('the page by keyboard alone', () => {
  let fleet: SeededFleet
  let browser: Browser
  let page: Page
  const open = (path: string) => page.goto(fleet.controller.url + path)
  const button = (name: string) => page.getByRole('button', { name, exact: true })
  const host = (name: string) => fleet.controller.api.get<HostView>(`/hosts/${name}`)
  const jobHere = () => fleet.controller.api.get<JobView>(new URL(page.url()).pathname)
  const dialog = (name: string) => page.getByRole('dialog', { name })

  beforeAll(async () => {
    fleet = await seededFleet(50)
    browser = await openBrowser()
    page = browser.page
  }, 180_000)

  afterAll(async () => {
    await browser?.close()
    await fleet?.controller.remove()
  }, 60_000)

  /** Names of hosts that are idle and take jobs, of one kind. */
  async function idleHosts(prefix: string): Promise<readonly string[]> {
    const { items } = await fleet.controller.api.get<{ items: readonly HostView[] }>('/hosts?limit=500')
    return items
      .filter(({ name, state, schedulable, runningJobs, readiness }) => {
        const isFree = state === 'up' && schedulable.kind === 'open' && runningJobs.length === 0
        return isFree && name.startsWith(prefix) && readiness.every((one) => one.state === 'ready')
      })
      .map(({ name }) => name)
  }

  it('signs in', async () => {
    await open('/')
    await tabTo(page, page.getByLabel('Name', { exact: true }))
    await page.keyboard.type('admin')
    await tabTo(page, page.getByLabel('Password'))
    await page.keyboard.type(await fleet.password())
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Fleet', exact: true }).waitFor()
    expect(await page.getByRole('banner').innerText()).toContain('admin')
  }, 60_000)

  it('leads to everything that can be pressed or filled in, on every page, with a ring around it', async () => {
    const { items } = await fleet.controller.api.get<{ items: readonly JobView[] }>('/jobs?state=running&limit=1')
    const pages = [
      ['/', 'ios-01'],
      ['/?view=table&pool=linux', 'linux-01'],
      ['/queues', 'Cure:'],
      ['/jobs?queue=release', 'release 4.2'],
      [`/jobs/${fleet.retriedJob}`, 'Executed 60 tests'],
      [`/jobs/${items[0]?.id ?? ''}`, 'so far'],
      ['/hosts/ios-02', 'boot proof'],
      ['/hosts/mac-03', 'lost'],
    ] as const
    for (const [path, shows] of pages) {
      await open(path)
      await page.getByText(shows).first().waitFor()
      await page.getByText('Loading…').waitFor({ state: 'detached' })
      const { stops, ...round } = await walkRound(page)
      expect({ path, ...round }).toEqual({ path, withoutRing: [], unreached: [] })
      expect(stops).toBeGreaterThan(8)
    }
  }, 180_000)

  it('skips the header, filters the fleet and turns it into a table', async () => {
    await open('/')
    await page.getByRole('link', { name: 'ios-01' }).waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    expect(await page.evaluate<boolean>('document.activeElement.closest("main") !== null')).toBe(true)
    await pressOn(page, page.getByRole('navigation', { name: 'Hosts by state' }).getByRole('link', { name: 'cordoned' }))
    await page.waitForURL('**/?state=cordoned')
    await pressOn(page, page.getByRole('navigation', { name: 'Hosts by state' }).getByRole('link', { name: 'cordoned' }))
    await page.waitForURL(/\/$/)
    await tabTo(page, page.getByRole('combobox', { name: 'Pool' }))
    await page.keyboard.type('macos')
    await page.waitForURL('**/?pool=macos')
    await pressOn(page, page.getByRole('link', { name: 'Table', exact: true }))
    await page.getByRole('rowheader', { name: 'mac-01' }).waitFor()
    await pressOn(page, page.getByRole('region', { name: 'Needs attention' }).getByRole('link', { name: 'mac-03' }))
    await page.getByRole('heading', { name: 'mac-03' }).waitFor()
  }, 60_000)

  it('cordons a host, opens it, and changes its key', async () => {
    const [name = ''] = await idleHosts('linux-')
    await open(`/hosts/${name}`)
    await pressOn(page, button('Cordon'))
    await page.locator('.title').getByText('cordoned').waitFor()
    await pressOn(page, button('Uncordon'), 'Space')
    await page.locator('.title').getByText('✓ up').waitFor()
    const { generation } = await host(name)
    await pressOn(page, button('Rotate key'))
    await expect.poll(async () => (await host(name)).generation, { timeout: 30_000 }).toBeGreaterThan(generation)
  }, 60_000)

  it.each([
    ['Probe', 'probe'],
    ['Clean', 'clean'],
    ['Restart agent', 'restartAgent'],
  ])('asks for the operation %s', async (label, kind) => {
    const names = await idleHosts('ios-')
    let name = ''
    for (const one of names) if ((await host(one)).operation === null) name = one
    await open(`/hosts/${name}`)
    await pressOn(page, button(label))
    await page.getByRole('region', { name: 'Operations' }).getByText(kind).first().waitFor()
    expect((await host(name)).operation?.request.kind).toBe(kind)
  })

  it('leaves a question with Escape, reboots a host by its typed name, and kills the operation', async () => {
    const name = (await idleHosts('mac-')).at(0) ?? ''
    await open(`/hosts/${name}`)
    await pressOn(page, button('Reboot'))
    await dialog('Reboot').waitFor()
    await page.keyboard.press('Escape')
    await dialog('Reboot').waitFor({ state: 'hidden' })
    // The focus is back where it was.
    await page.keyboard.press('Enter')
    await tabTo(page, dialog('Reboot').getByLabel(`Type ${name} to go on`))
    await page.keyboard.type(name)
    await page.keyboard.press('Enter')
    const operations = page.getByRole('region', { name: 'Operations' })
    await operations.getByText('reboot').first().waitFor()
    const asked = (await host(name)).operation
    expect(asked?.request.kind).toBe('reboot')
    await pressOn(page, operations.getByRole('button', { name: 'Kill' }))
    const state = async () => (await fleet.controller.api.get<OperationView>(`/operations/${asked?.id ?? ''}`)).killRequested
    await expect.poll(state, { timeout: 30_000 }).toBe(true)
  }, 60_000)

  it('drains a host with a deadline, and retires another by its typed name', async () => {
    const [first = '', second = ''] = (await idleHosts('linux-')).slice(1)
    await open(`/hosts/${first}`)
    await pressOn(page, button('Drain'))
    await tabTo(page, dialog('Drain').getByLabel('Cancel running jobs'))
    await page.keyboard.type('after 1')
    await page.keyboard.press('ArrowDown')
    await pressOn(page, dialog('Drain').getByRole('button', { name: 'Drain' }))
    await page.locator('.title').getByText('draining').waitFor()
    const { schedulable } = await host(first)
    expect(schedulable.kind === 'draining' && (schedulable.deadline ?? 0) - schedulable.at).toBe(3_600_000)

    await open(`/hosts/${second}`)
    await pressOn(page, button('Retire'))
    await tabTo(page, dialog('Retire').getByLabel(`Type ${second} to go on`))
    await page.keyboard.type(second)
    await pressOn(page, dialog('Retire').getByRole('button', { name: 'Retire' }))
    await page.locator('.title').getByText('retired').waitFor()
    expect((await host(second)).state).toBe('retired')
  }, 60_000)

  it('goes from a queue to the job that waits in it, and cancels and repeats it', async () => {
    await open('/queues')
    await pressOn(page, page.getByRole('article', { name: 'release' }).getByRole('link', { name: 'queued jobs' }))
    await pressOn(page, page.getByRole('link', { name: 'release 4.3-beta' }))
    await page.getByText('Cure:').waitFor()
    await pressOn(page, button('Cancel'))
    await page.locator('.title').getByText('cancelled by user:admin').waitFor()
    const cancelled = await jobHere()
    expect(cancelled.outcome?.kind).toBe('cancelled')
    await pressOn(page, button('Run again'))
    await page.waitForURL((url) => !url.href.endsWith(cancelled.id))
    await page.getByText('Cure:').waitFor()
    expect(await jobHere()).toMatchObject({ state: 'queued', name: cancelled.name })
  }, 60_000)

  it('chooses an attempt, and reads, searches and saves its log', async () => {
    await open(`/jobs/${fleet.retriedJob}`)
    await page.getByText('Executed 60 tests').waitFor()
    await pressOn(page, button('Go to the start'))
    await page.getByText('Resolving packages').waitFor()
    const log = page.getByRole('log')
    await tabTo(page, log)
    await page.keyboard.press('End')
    await page.getByText('Executed 60 tests').waitFor()
    await pressOn(page, page.getByLabel('Search what is loaded'), 'w')
    await page.keyboard.type('arning:')
    await page.getByText('2 of 2').waitFor()
    await pressOn(page, page.getByRole('button', { name: 'Previous match' }))
    await page.getByText('1 of 2').waitFor()
    await pressOn(page, page.getByRole('button', { name: 'Next match' }))
    await page.getByText('2 of 2').waitFor()
    await pressOn(page, button('Follow the end'))
    await page.getByText('Executed 60 tests').waitFor()
    const saved = page.waitForEvent('download')
    await pressOn(page, page.getByRole('link', { name: 'Download' }))
    expect((await saved).suggestedFilename()).toBe(`${fleet.retriedJob}-2.log`)
    await pressOn(page, page.getByRole('button', { name: 'Attempt 1 on ios-01' }))
    await page.getByText('Nothing written yet.').waitFor()
  }, 60_000)

  it('turns the pages of the list of jobs', async () => {
    await open('/jobs')
    await page.getByRole('link', { name: 'Older jobs' }).waitFor()
    await tabTo(page, page.getByRole('link', { name: 'Older jobs' }), 'Shift+Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'Newest jobs' }).waitFor()
    expect(new URL(page.url()).searchParams.get('cursor')).not.toBeNull()
    await tabTo(page, page.getByRole('link', { name: 'Newest jobs' }), 'Shift+Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/jobs$/)
  }, 60_000)

  it('signs out', async () => {
    await open('/')
    await pressOn(page, button('Sign out'))
    await page.getByLabel('Password').waitFor()
    expect(await page.evaluate('fetch("/api/v1/session").then(({ status }) => status)')).toBe(401)
  }, 60_000)

  it('complained of nothing all the while', () => {
    expect(browser.complaints).toEqual([])
  })
})
