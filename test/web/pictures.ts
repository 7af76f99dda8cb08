// `node test/web/pictures.ts`: takes the pictures of docs/guide/dashboard.md anew, from a real controller with a made-up fleet, in Chromium.
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openBrowser } from './browser.ts'
import { seededFleet, type SeededFleet } from './seeded-fleet.ts'
import { signIn } from './sign-in.ts'

const directory = join(import.meta.dirname, '../../docs/images')
const maxBytes = 300_000

interface Picture {
  readonly name: string
  readonly path: (fleet: SeededFleet) => string
  readonly dark?: boolean
  /** Text that is there when the page is. */
  readonly shows: string
  readonly press?: readonly string[]
  /** Chooses a cell of the map first. */
  readonly onMap?: true
  /** Before anybody signed in. */
  readonly signedOut?: true
}

const small: readonly Picture[] = [
  { name: 'sign-in', path: () => '/', shows: 'Sign in to cidery', signedOut: true },
  { name: 'fleet', path: () => '/', shows: 'ios-' },
  { name: 'fleet-dark', path: () => '/', dark: true, shows: 'ios-' },
  { name: 'queues', path: () => '/queues', shows: 'Cure:' },
  { name: 'jobs', path: () => '/jobs', dark: true, shows: 'passed' },
  { name: 'job', path: ({ retriedJob }) => `/jobs/${retriedJob}`, shows: 'Executed 60 tests' },
  { name: 'job-dark', path: ({ retriedJob }) => `/jobs/${retriedJob}`, dark: true, shows: 'Executed 60 tests' },
  { name: 'host', path: () => '/hosts/ios-02', shows: 'boot proof' },
  { name: 'host-lost-dark', path: () => '/hosts/mac-03', dark: true, shows: 'Cure:' },
  { name: 'keys', path: () => '/', dark: true, shows: 'ios-', press: ['?'] },
]
const large: readonly Picture[] = [
  { name: 'fleet-10000', path: () => '/', shows: '10,000' },
  {
    name: 'fleet-10000-dark',
    path: () => '/',
    dark: true,
    shows: '10,000',
    onMap: true,
    press: [...Array<string>(9).fill('ArrowDown'), ...Array<string>(14).fill('ArrowRight')],
  },
]

async function take(hosts: number, pictures: readonly Picture[]): Promise<void> {
  const fleet = await seededFleet(hosts)
  try {
    for (const picture of pictures) await takeOne(fleet, picture)
  } finally {
    await fleet.controller.remove()
  }
}

async function takeOne(fleet: SeededFleet, picture: Picture): Promise<void> {
  const browser = await openBrowser({ dark: picture.dark === true })
  try {
    const { page } = browser
    if (picture.signedOut !== true) await signIn(page, fleet.controller.url, await fleet.password())
    await page.goto(fleet.controller.url + picture.path(fleet))
    await page.getByText(picture.shows).first().waitFor()
    if (picture.signedOut !== true) await page.getByText('● live').first().waitFor()
    if (picture.onMap === true) await page.getByRole('grid').getByRole('link').focus()
    for (const key of picture.press ?? []) await page.keyboard.press(key)
    const path = join(directory, `${picture.name}.png`)
    await page.screenshot({ path, animations: 'disabled' })
    const { size } = await stat(path)
    if (size > maxBytes) throw new Error(`${picture.name}.png has ${size} bytes, more than ${maxBytes}`)
    console.log(`${picture.name}.png: ${Math.round(size / 1024)} KiB`)
  } finally {
    await browser.close()
  }
}

await mkdir(directory, { recursive: true })
await take(48, small)
await take(10_000, large)
