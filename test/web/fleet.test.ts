import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FleetHost, HostView } from '../../src/model/api.ts'
import { openBrowser, type Browser } from './browser.ts'
import { pressOn, tabTo } from './keyboard.ts'
import { seededFleet, type SeededFleet } from './seeded-fleet.ts'
import { signIn } from './sign-in.ts'
import { violations } from './violations.ts'

async function onFleet(
  hosts: number,
  test: (at: { readonly fleet: SeededFleet; readonly page: Page; readonly browser: Browser }) => Promise<void>,
) {
  const fleet = await seededFleet(hosts)
  const browser = await openBrowser()
  try {
    await signIn(browser.page, fleet.controller.url, await fleet.password())
    await test({ fleet, page: browser.page, browser })
    expect(browser.complaints).toEqual([])
  } finally {
    await browser.close()
    await fleet.controller.remove()
  }
}

async function inBothSchemes(page: Page, look: () => Promise<void>): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await look()
  }
}

/** What has the focus, as it is read out. */
async function focused(page: Page): Promise<string> {
  return page.evaluate<string>('document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? ""')
}

describe('the heat map of 2 hosts', () => {
  it('is two tiles that keys move between, in light and dark without a violation', async () => {
    await onFleet(2, async ({ page }) => {
      await page.getByRole('link', { name: 'ios-2' }).waitFor()
      expect(await page.locator('a.tile').count()).toBe(2)
      await page.getByRole('link', { name: 'ios-1' }).focus()
      await page.keyboard.press('ArrowRight')
      expect(await focused(page)).toContain('ios-2')
      await inBothSchemes(page, async () => expect(await violations(page)).toEqual([]))
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'ios-2' }).waitFor()
    })
  }, 120_000)
})

describe('the heat map of 50 hosts', () => {
  it('has a tile per host and pool by pool, each state by glyph and word, and filters in the URL', async () => {
    await onFleet(50, async ({ page, fleet }) => {
      await page.getByRole('link', { name: 'ios-26' }).waitFor()
      expect(await page.locator('a.tile').count()).toBe(50)
      expect(await page.locator('h3.pool').allTextContents()).toEqual(['ios 26', 'linux 12', 'macos 12'])
      const glyphs = { lost: '✕', quarantined: '!', cordoned: '⊘', draining: '↓', full: '●', busy: '◐', free: '○' }
      for (const [word, glyph] of Object.entries(glyphs))
        await page
          .locator('.badge', { hasText: `${glyph} ${word}` })
          .first()
          .waitFor()
      await inBothSchemes(page, async () => expect(await violations(page)).toEqual([]))
      const trouble = page.getByRole('region', { name: 'Needs attention' }).getByRole('listitem')
      expect(await trouble.allInnerTexts()).toEqual(['✕ lost\nmac-03', '! quarantined\nmac-08', '≠ not ready\nios-21'])

      await page.getByRole('navigation', { name: 'Hosts by state' }).getByRole('link', { name: 'lost' }).click()
      await page.waitForURL('**/?state=lost')
      expect(await page.locator('a.tile').count()).toBe(1)
      await page.goto(`${fleet.controller.url}/?pool=linux&q=1&view=table`)
      await page.getByRole('rowheader', { name: 'linux-11' }).waitFor()
      expect(await page.getByRole('rowheader').allTextContents()).toEqual(['linux-01', 'linux-10', 'linux-11', 'linux-12'])
      await page.goBack()
      await page.waitForURL('**/?state=lost')

      await page.goto(fleet.controller.url)
      await page.getByRole('link', { name: 'ios-01' }).focus()
      await page.keyboard.press('End')
      expect(await focused(page)).toContain('mac-12')
      await page.keyboard.press('ArrowUp')
      expect(await focused(page)).toMatch(/mac-0/)
      await page.keyboard.press('Home')
      expect(await focused(page)).toContain('ios-01')
      await page.keyboard.press('ArrowDown')
      expect(await focused(page)).toMatch(/ios-0[2-9]/)
    })
  }, 120_000)
})

describe('the heat map of 10,000 hosts', () => {
  let fleet: SeededFleet
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    fleet = await seededFleet(10_000)
    browser = await openBrowser()
    page = browser.page
    await signIn(page, fleet.controller.url, await fleet.password())
    await page.getByRole('gridcell').waitFor()
    await page.locator('.figures').getByText('10,000', { exact: true }).waitFor()
  }, 180_000)

  afterAll(async () => {
    await browser?.close()
    await fleet?.controller.remove()
  }, 60_000)

  it('has one element for all hosts but the chosen one, and no violation in light and dark', async () => {
    expect(await page.getByRole('gridcell').count()).toBe(1)
    expect(await page.locator('main *').count()).toBeLessThan(200)
    expect(await page.getByRole('navigation', { name: 'Hosts by state' }).innerText()).toMatch(/free 3,\d{3}/)
    await inBothSchemes(page, async () => expect(await violations(page)).toEqual([]))
  }, 120_000)

  it('paints every host: each kind of cell in colours of its own, anew when the colours change', async () => {
    const colours = async (): Promise<number> =>
      page.evaluate<number>(`(() => {
        const canvas = document.querySelector('canvas')
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        const seen = new Set()
        for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])
        window.firstColour = [...seen][0]
        return seen.size
      })()`)
    await page.emulateMedia({ colorScheme: 'light' })
    expect(await colours()).toBeGreaterThan(20)
    const light = await page.evaluate('window.firstColour')
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(async () => [await colours(), await page.evaluate('window.firstColour')]).not.toEqual([expect.anything(), light])
  })

  it('is all in sight on a screen of 1920 × 1080', async () => {
    const { width, height } = page.viewportSize() ?? { width: 1200, height: 900 }
    await page.setViewportSize({ width: 1920, height: 1080 })
    const bottom = () => page.evaluate<number>('document.querySelector("canvas").getBoundingClientRect().bottom')
    await expect.poll(bottom, { timeout: 30_000 }).toBeLessThanOrEqual(1080)
    await page.setViewportSize({ width, height })
  }, 60_000)

  it('is walked by arrow keys alone and opens the host that is chosen', async () => {
    await page.keyboard.press('Tab')
    await page.getByRole('grid').getByRole('link').focus()
    expect(await focused(page)).toMatch(/^ios-00001, pool ios, /)
    await page.keyboard.press('ArrowRight')
    expect(await focused(page)).toMatch(/^ios-00002, /)
    await page.keyboard.press('ArrowDown')
    const below = /^ios-(\d+)/.exec(await focused(page))?.[1]
    const columns = Number(await page.getByRole('grid').getAttribute('aria-colcount'))
    expect(Number(below)).toBe(2 + columns)
    await page.keyboard.press('End')
    expect(await focused(page)).toMatch(/^mac-02500, pool macos, /)
    expect(await page.evaluate('document.activeElement.getBoundingClientRect().bottom <= innerHeight')).toBe(true)
    await page.keyboard.press('Home')
    await page.keyboard.press('PageDown')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /^ios-\d/ }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('h')
    await page.keyboard.type('linux-01234')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'linux-01234' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('f')
    await page.getByRole('grid').waitFor()
    await pressOn(page, page.getByRole('region', { name: 'Needs attention' }).getByRole('link', { name: /more hosts that are lost/ }))
    await page.waitForURL('**/?state=lost')
    const lost = Number(/lost (\d+)/.exec(await page.getByRole('navigation', { name: 'Hosts by state' }).innerText())?.[1])
    await tabTo(page, page.getByRole('grid').getByRole('link'))
    expect(await focused(page)).toMatch(/✕ lost/)
    expect(lost).toBeGreaterThan(90)
  }, 60_000)

  it('opens the host that is clicked, and says in words what is under the pointer', async () => {
    await page.goto(fleet.controller.url)
    const box = await page.getByRole('grid').boundingBox()
    await page.mouse.move((box?.x ?? 0) + 5, (box?.y ?? 0) + 32)
    await expect
      .poll(() => page.locator('.tip').allInnerTexts())
      .toEqual([expect.stringMatching(/^ios-00001, pool ios, . \w+, \d of 4 slots used$/)])
    await page.mouse.click((box?.x ?? 0) + 5, (box?.y ?? 0) + 32)
    await page.getByRole('heading', { name: 'ios-00001' }).waitFor()
    await page.goBack()
    await page.getByRole('grid').waitFor()
  }, 60_000)

  it('reads only the host that an event names, and shows its new state', async () => {
    const free = await fleet.controller.api.get<{ items: readonly FleetHost[] }>(
      '/fleet?names=linux-02499,linux-02498,linux-02497,linux-02496',
    )
    const chosen = free.items.find((host) => host.state === 'up' && host.schedulable === 'open')
    const host = await fleet.controller.api.get<HostView>(`/hosts/${chosen?.name ?? ''}`)
    const looks: string[] = []
    page.on('request', (request) => {
      if (request.url().includes('/fleet')) looks.push(new URL(request.url()).search)
    })
    await page.goto(fleet.controller.url)
    const cordoned = async (): Promise<number> =>
      Number(/cordoned (\d+)/.exec(await page.getByRole('navigation', { name: 'Hosts by state' }).innerText())?.[1])
    await page.locator('.figures').getByText('10,000', { exact: true }).waitFor()
    looks.length = 0
    const before = await cordoned()
    await fleet.controller.api.post(`/hosts/${host.id}/cordon`, { reason: 'test' }, { 'if-match': `"${host.generation}"` })
    await expect.poll(cordoned, { timeout: 20_000 }).toBe(before + 1)
    expect(looks.some((look) => new URLSearchParams(look).get('names')?.split(',').includes(host.name))).toBe(true)
    await page.getByLabel('Filter by name').fill(host.name)
    await page
      .getByRole('gridcell')
      .getByRole('link', { name: `${host.name}, pool linux, ⊘ cordoned` })
      .waitFor()
  }, 60_000)

  it('has all of it as a table too, a hundred rows at a time', async () => {
    await page.goto(`${fleet.controller.url}/?view=table&page=100`)
    await page.getByText('9901–10000 of 10,000').waitFor()
    expect(await page.getByRole('rowheader').count()).toBe(100)
    expect(await page.getByRole('rowheader').last().textContent()).toBe('mac-02500')
    expect(await violations(page)).toEqual([])
  }, 60_000)

  it('complained of nothing all the while', () => {
    expect(browser.complaints).toEqual([])
  })
})
