import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type Page } from 'playwright-core'

/** Switches without which Chromium talks to the outside by itself. */
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
]

/**
 * What is nobody's fault: the first look at the session is answered 401 when nobody is signed in, and requests are cut when the machine's networks change,
 * as they do when another suite makes one; the page then looks again.
 */
const expected = ['401', 'net::ERR_NETWORK_CHANGED']

export interface Browser {
  readonly page: Page
  /** What the page wrote to its console as an error, and requests that failed: should stay empty. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

/** A real Chromium with a fresh profile; Debian's unless CIDERY_CHROMIUM names another. */
export async function openBrowser(options: { readonly dark?: boolean } = {}): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'cidery-chromium-'))
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CIDERY_CHROMIUM'] ?? '/usr/bin/chromium',
    args: quiet,
    viewport: { width: 1200, height: 900 },
    colorScheme: options.dark === true ? 'dark' : 'light',
  })
  const page = context.pages()[0] ?? (await context.newPage())
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected.some((part) => message.text().includes(part))) complaints.push(message.text())
  })
  return {
    page,
    complaints,
    async close() {
      await context.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
