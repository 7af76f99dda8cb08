import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CDPSession, Page } from 'playwright-core'
import { openBrowser } from '../test/web/browser.ts'
import { BenchAgent, inTurn, parkPolls } from './agents.ts'
import { startBenchFleet, type BenchFleet } from './fleet.ts'
import { atMost, benchmark, say, type BenchOptions, type Report } from './report.ts'
import { figure, median, percentile, spread } from './statistics.ts'

/**
 * The dashboard with 10,000 hosts in a real Chromium: when something is first painted, when the hosts are there, and how long the main thread is busy
 * for one live update. It knows the page by its landmarks, and by the names or cells of hosts, and measures by the browser's own counters.
 */

const aims = { paintMs: 1000, updateMs: 50 }
/** How long the page may need to show a host, and to settle after an update. */
const [showMs, settleMs] = [60_000, 1500]

async function signIn(page: Page, fleet: BenchFleet): Promise<void> {
  const password = readFileSync(join(fleet.stateDir, 'admin.password'), 'utf8').trim()
  // The session's cookie goes to the browser's own jar, whatever the page of the login looks like.
  const answer = await page.request.post(`http://127.0.0.1:${fleet.port}/api/v1/session`, { data: { name: 'admin', password } })
  if (!answer.ok()) throw new Error(`signing in was answered ${answer.status()}`)
}

/** Milliseconds from the navigation to the first contentful paint, and to the first host in the main landmark. */
async function load(page: Page, fleet: BenchFleet): Promise<{ readonly paintMs: number; readonly hostsMs: number }> {
  await page.goto('about:blank')
  await page.goto(`http://127.0.0.1:${fleet.port}/`)
  const main = page.getByRole('main')
  // Few hosts are shown by name; of many, the map is a picture with one cell for the chosen one.
  const host = main
    .getByText(/host-\d{5}/)
    .or(main.getByRole('gridcell'))
    .first()
  await host.waitFor({ state: 'attached', timeout: showMs })
  return page.evaluate(() => ({
    paintMs: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    hostsMs: performance.now(),
  }))
}

async function busyMs(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics')
  return (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN) * 1000
}

/** What the main thread does in a while in which one host is cordoned or opened again, less what it does in one in which nothing happens. */
async function updateMs(session: CDPSession, fleet: BenchFleet, number: number): Promise<number> {
  const path = `/hosts/${fleet.hosts[number % 10]?.id ?? ''}`
  const { generation, schedulable } = await fleet.api.get<{ generation: number; schedulable: { kind: string } }>(path)
  const quietFrom = await busyMs(session)
  await sleep(settleMs)
  const from = await busyMs(session)
  const change = schedulable.kind === 'open' ? 'cordon' : 'uncordon'
  await fleet.api.post(`${path}/${change}`, change === 'cordon' ? { reason: 'bench' } : {}, { 'if-match': `"${generation}"` })
  await sleep(settleMs)
  return (await busyMs(session)) - from - (from - quietFrom)
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const [hosts, loads, updates] = quick ? [20, 1, 1] : [10_000, 5, 10]
  const fleet = await startBenchFleet({ hosts })
  const browser = await openBrowser()
  const { page } = browser
  try {
    const agents = fleet.hosts.map((host) => new BenchAgent(host, fleet.port))
    await inTurn(agents, (agent) => agent.sync({ facts: true, waitMs: 0 }))
    // A host that is not heard of is lost a minute later, which the page would show while it is measured.
    const polls = parkPolls(agents)
    say(`${hosts} hosts are up`)
    await signIn(page, fleet)
    const paints: number[] = []
    const shown: number[] = []
    for (let count = 0; count < loads; count += 1) {
      const { paintMs, hostsMs } = await load(page, fleet)
      paints.push(paintMs)
      shown.push(hostsMs)
      say(`load ${count + 1}: first paint ${figure(paintMs)} ms, hosts ${figure(hostsMs)} ms`)
    }
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable')
    await sleep(settleMs)
    const busy: number[] = []
    for (let count = 0; count < updates; count += 1) busy.push(Math.max(0, await updateMs(session, fleet, count)))
    // One that failed meanwhile is told of here.
    await Promise.race([polls.over, sleep(0)])
    polls.stop()
    for (const agent of agents) agent.close()
    return {
      name: 'dashboard',
      columns: ['hosts', 'first paint ms', 'hosts shown ms', 'main thread per update ms', 'worst update ms'],
      rows: [[figure(hosts), spread(paints), spread(shown), spread(busy), figure(percentile(busy, 1))]],
      aims: [
        atMost(`first paint < ${aims.paintMs} ms`, { value: median(paints), limit: aims.paintMs, unit: 'ms' }),
        atMost(`a live update < ${aims.updateMs} ms of main thread`, { value: median(busy), limit: aims.updateMs, unit: 'ms' }),
      ],
      notes: [
        'Chromium by its own counters: first-contentful-paint; TaskDuration of the 1.5 s after a host was cordoned or opened again over the API, less that of 1.5 s of quiet.',
        'Hosts shown: the first host, by its name or as a cell of the map, is in the main landmark. The browser and the controller share the cores.',
      ],
    }
  } finally {
    await browser.close()
    await fleet.remove()
  }
}

await benchmark(run)
