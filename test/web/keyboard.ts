import type { Locator, Page } from 'playwright-core'

/** More stops than any page of a test has. */
const mostStops = 400

/** Presses Tab, or Shift+Tab, until a thing has the focus; throws with what was passed when it is not in the order. */
export async function tabTo(page: Page, target: Locator, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  const passed: string[] = []
  for (let press = 0; press < mostStops; press += 1) {
    if (await isFocused(target)) return
    passed.push(await page.evaluate<string>(nameOfFocused))
    await page.keyboard.press(key)
  }
  throw new Error(`Tab does not lead to ${String(target)}; it leads to ${[...new Set(passed)].join(', ')}`)
}

/** Goes to a thing with Tab and presses a key there. */
export async function pressOn(page: Page, target: Locator, key = 'Enter'): Promise<void> {
  await target.waitFor()
  await tabTo(page, target)
  await page.keyboard.press(key)
}

async function isFocused(target: Locator): Promise<boolean> {
  return target.evaluate((node) => node === node.ownerDocument.activeElement)
}

/** Where Tab leads, once around the page, and what of it shows no ring; and what could be pressed or filled in and is not on the way. */
export interface Round {
  readonly stops: number
  readonly withoutRing: readonly string[]
  readonly unreached: readonly string[]
}

export async function walkRound(page: Page): Promise<Round> {
  await page.evaluate(begin)
  let stops = 0
  const withoutRing: string[] = []
  for (; stops < mostStops; stops += 1) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate<{ readonly name: string; readonly hasRing: boolean; readonly isNew: boolean }>(step)
    if (!stop.isNew) break
    if (!stop.hasRing) withoutRing.push(stop.name)
  }
  return { stops, withoutRing, unreached: await page.evaluate<readonly string[]>(unreached) }
}

const nameOfFocused = `(document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '').trim().slice(0, 40)`
const begin = `document.activeElement?.blur(); globalThis.passed = new Set()`
// The browser's own bars come after the last stop: then the body has the focus.
const step = `(() => {
  const node = document.activeElement
  const isNew = node !== document.body && !passed.has(node)
  passed.add(node)
  const { outlineStyle, outlineWidth } = getComputedStyle(node)
  return { name: ${nameOfFocused}, hasRing: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2, isNew }
})()`
// Tiles of the map are one stop; arrow keys move between them.
const unreached = `[...document.querySelectorAll('a[href], button, input, select, textarea')]
  .filter((node) => node.checkVisibility() && !passed.has(node) && !node.disabled && !node.matches('a.tile'))
  .map((node) => node.outerHTML.slice(0, 120))`
