import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JobView, OperationView } from '../../src/model/api.ts'
import { startFleet, type Fleet } from '../e2e/fleet.ts'
import { waitFor } from '../e2e/wait.ts'
import { openBrowser, type Browser } from './browser.ts'
import { startLossyProxy } from './lossy-proxy.ts'
import { violations } from './violations.ts'

describe('the web page', () => {
  let fleet: Fleet
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    fleet = await startFleet({ store: 'sqlite', name: 'web' })
    browser = await openBrowser()
    page = browser.page
  }, 180_000)

  afterAll(async () => {
    await browser?.close()
    await fleet?.remove()
  }, 60_000)

  it('asks for a password, says when it is wrong, and lets the first admin in', async () => {
    await page.goto(fleet.address().url)
    await page.getByLabel('Name').fill('admin')
    await page.getByLabel('Password').fill('not the password')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await violations(page)).toEqual([])
    }
    await page.getByLabel('Password').fill((await readFile(join(fleet.stateDir, 'admin.password'), 'utf8')).trim())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Fleet' }).waitFor()
    await page.getByRole('link', { name: 'host-1' }).waitFor()
  }, 60_000)

  it('shows why a job waits and what to do about it, in its queue and on its own page', async () => {
    const job = await fleet.api.post<JobView>('/jobs', { command: ['true'], name: 'waits', labels: { xcode: '16' } })
    await page.getByRole('link', { name: 'Queues' }).click()
    await page.getByText('xcode=16').first().waitFor()
    expect(await violations(page)).toEqual([])
    await page.getByRole('link', { name: 'queued jobs' }).click()
    await page.getByRole('link', { name: 'waits', exact: true }).click()
    await page.getByText('Cure:').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.locator('.title').getByText('cancelled by').waitFor()
    expect((await fleet.api.get<JobView>(`/jobs/${job.id}`)).outcome?.kind).toBe('cancelled')
  }, 60_000)

  it('follows the log of a running job, cleans it of terminal sequences, and shows its end', async () => {
    const script = String.raw`printf '\033[31mred words\033[0m\n'; printf '\033]0;a title\007plain\n'; while ! [ -e go ]; do sleep 0.2; i=$((i+1)); [ "$i" -lt 25 ] || touch go; done; echo the end; exit 3`
    const job = await fleet.api.post<JobView>('/jobs', { script, name: 'talks' })
    await page.goto(`${fleet.address().url}/jobs/${job.id}`)
    await page.getByText('red words').waitFor({ timeout: 60_000 })
    await page.getByText('the end', { exact: true }).waitFor({ timeout: 60_000 })
    await page.getByText('exit code 3').first().waitFor({ timeout: 60_000 })
    expect(await page.locator('.log-text').allInnerTexts()).toEqual(['red words', 'plain', 'the end'])
    expect(await page.locator('.log .fg1').innerText()).toBe('red words')
    await page.getByText('■ complete').waitFor()
    await page.getByRole('region', { name: 'Timeline' }).getByText('running').waitFor()
    expect(await violations(page)).toEqual([])
  }, 150_000)

  it('runs a job again from its page', async () => {
    await page.getByRole('button', { name: 'Run again' }).click()
    const rerun = await waitFor('a second job of that name', async () => {
      const { items } = await fleet.api.get<{ items: readonly JobView[] }>('/jobs')
      return items.filter((job) => job.name === 'talks').length === 2 ? items[0] : null
    })
    await page.waitForURL(`**/jobs/${rerun.id}`)
    expect(rerun.spec.name).toBe('talks')
    await fleet.api.post(`/jobs/${rerun.id}/cancel`)
  }, 60_000)

  it('follows the log of 100 MB while it is written: the page obeys and stays small, and its end is the log to the byte', async () => {
    const lines = 1_060_000
    const script = `seq -f '%07.0f ${'x'.repeat(91)}' 1 ${lines}; printf 'the last words, with no line end'`
    const job = await fleet.api.post<JobView>('/jobs', { script, name: 'floods' })
    await page.goto(`${fleet.address().url}/jobs/${job.id}`)
    const state = page.locator('.log-state')
    await state.getByText('● live').waitFor({ timeout: 60_000 })
    // More has come than the page keeps; while more pours in, keys are obeyed.
    await page.locator('.log-foot').getByText('Bytes').waitFor({ timeout: 120_000 })
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' })
    expect(await state.innerText()).toBe('● live')
    let mostElements = 0
    const look = async (): Promise<string> => {
      mostElements = Math.max(mostElements, await page.evaluate<number>('document.getElementsByTagName("*").length'))
      return state.innerText()
    }
    await expect.poll(look, { timeout: 240_000, interval: 250 }).toBe('■ complete')
    expect(mostElements).toBeLessThan(700)
    await page.getByText('the last words, with no line end').waitFor()
    const length = lines * 100 + 32
    expect(length).toBeGreaterThan(100 * 1024 * 1024)
    const foot = await page.locator('.log-foot').innerText()
    const [start, end, all] = [...foot.matchAll(/\d[\d,]*/g)].map(([text]) => Number(text.replaceAll(',', '')))
    expect([end, all]).toEqual([length, length])
    expect(length - (start ?? 0)).toBeLessThan(3 * 1024 * 1024)
    const tail = await fleet.api.text(`/jobs/${job.id}/log?offset=${length - 32 - 1000}`)
    expect((await page.locator('.log-text').allInnerTexts()).slice(-11).join('\n')).toBe(tail)

    const cdp = await page.context().newCDPSession(page)
    await cdp.send('HeapProfiler.collectGarbage')
    const { usedSize } = await cdp.send('Runtime.getHeapUsage')
    expect(usedSize).toBeLessThan(60 * 1024 * 1024)

    // Older parts come as they are scrolled to, and the start has the first line.
    await page.getByRole('log').press('Home')
    await expect.poll(() => page.locator('.log-foot').innerText(), { timeout: 30_000 }).not.toBe(foot)
    await page.getByRole('button', { name: 'Go to the start' }).press('Enter')
    await page.getByText(`0000001 ${'x'.repeat(91)}`).waitFor()
    expect(await page.locator('.log-number').first().innerText()).toBe('1')
    expect(await violations(page)).toEqual([])
    await page.keyboard.press('f')
    await page.getByText('the last words, with no line end').waitFor()
  }, 400_000)

  it('cordons and opens a host, and says why a button cannot be pressed', async () => {
    await page.goto(`${fleet.address().url}/hosts/host-1`)
    await page.getByText('it takes jobs already').waitFor()
    await page.getByRole('button', { name: 'Cordon', exact: true }).click()
    await page.getByText('cordoned').first().waitFor()
    await page.getByRole('button', { name: 'Uncordon' }).click()
    await page.getByText('it takes jobs already').waitFor()
    expect(await violations(page)).toEqual([])
  }, 60_000)

  it('shows when an operation is warned of and ended, gives it more time, and kills it [003-16]', async () => {
    const request = { kind: 'exec', command: ['sleep', '600'] }
    const { id } = await fleet.api.post<OperationView>('/hosts/host-1/operations', { request })
    const state = () => fleet.api.get<OperationView>(`/operations/${id}`)
    await page.goto(`${fleet.address().url}/hosts/host-1`)
    const row = page.getByRole('listitem').filter({ hasText: 'exec' }).first()
    await row.getByText('◑ executing').waitFor({ timeout: 60_000 })
    await row.getByText(/warning in \d/).waitFor()
    expect(await violations(page)).toEqual([])
    const { deadline } = await state()
    await row.getByRole('button', { name: 'Extend by 10 minutes' }).press('Enter')
    await expect.poll(async () => (await state()).deadline, { timeout: 30_000 }).toBe((deadline ?? 0) + 600_000)
    await row.getByText('ended in 24m').waitFor()
    await row.getByRole('button', { name: 'Kill' }).press('Enter')
    await row.getByText('✕ killed').waitFor({ timeout: 60_000 })
    expect((await state()).state).toBe('KILLED')
    expect(await row.getByRole('button').count()).toBe(0)
  }, 150_000)

  it('shows the true state within one beacon after frames and streams were lost on the way [003-39]', async () => {
    const lossy = await startLossyProxy(fleet.address().url, 39)
    // A tab of its own: that streams are cut is a complaint of the browser's, and wanted here.
    const tab = await page.context().newPage()
    try {
      await tab.goto(`${lossy.url}/hosts/host-1`)
      await tab.getByText('it takes jobs already').waitFor()
      for (let round = 0; round < 2; round += 1) {
        const verb = round % 2 === 0 ? 'cordon' : 'uncordon'
        const host = await fleet.api.get<{ readonly id: string; readonly generation: number }>('/hosts/host-1')
        await fleet.api.post(`/hosts/${host.id}/${verb}`, verb === 'cordon' ? { reason: 'while frames are lost' } : {}, {
          'if-match': `"${host.generation}"`,
        })
        // One look of the page that began after the change is all it takes: nothing that the stream said has to arrive.
        await lossy.nextLook('/api/v1/hosts/host-1')
        await tab
          .getByText(verb === 'cordon' ? 'while frames are lost' : 'it takes jobs already')
          .first()
          .waitFor({ timeout: 10_000 })
      }
      expect(lossy.dropped()).toBeGreaterThan(0)
    } finally {
      await tab.close()
      await lossy.close()
    }
  }, 150_000)

  it('complained of nothing all the while', () => {
    expect(browser.complaints).toEqual([])
  })
})
