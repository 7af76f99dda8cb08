import { setTimeout as sleep } from 'node:timers/promises'
import { startFleet } from '../test/e2e/fleet.ts'
import { cpuMs, residentMiB, startProgram } from './programs.ts'
import { atMost, benchmark, say, type BenchOptions, type Report } from './report.ts'
import { figure, median, ratios, spread } from './statistics.ts'

/** Memory and processor time of an agent that has nothing to do but sync and check its host, beside a Node that does nothing at all. */

const aims = { ofNode: 2, cpuPercent: 0.2 }

async function run({ quick }: BenchOptions): Promise<Report> {
  const fleet = await startFleet({ store: 'sqlite', name: 'bench' })
  const node = startProgram([process.execPath, '-e', 'setInterval(() => {}, 2 ** 30)'])
  try {
    const pid = fleet.agent().child.pid ?? 0
    const [rounds, roundMs] = quick ? [1, 1000] : [6, 20_000]
    // What starting and the first boot proof left behind is collected by then.
    await sleep(quick ? 0 : 30_000)
    const agentMiB: number[] = []
    const nodeMiB: number[] = []
    const percent: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      const before = cpuMs(pid)
      const startedAt = performance.now()
      await sleep(roundMs)
      percent.push(((cpuMs(pid) - before) / (performance.now() - startedAt)) * 100)
      agentMiB.push(residentMiB(pid))
      nodeMiB.push(residentMiB(node.pid))
      say(
        `round ${round + 1}: ${figure(agentMiB.at(-1) ?? 0)} MiB, ${figure(percent.at(-1) ?? 0)} %; bare Node ${figure(nodeMiB.at(-1) ?? 0)} MiB`,
      )
    }
    return {
      name: 'agent',
      columns: ['agent MiB', 'bare Node MiB', 'of bare Node', 'CPU %'],
      rows: [[spread(agentMiB), spread(nodeMiB), spread(ratios(agentMiB, nodeMiB)), spread(percent)]],
      aims: [
        atMost(`memory ≤ ${aims.ofNode} × bare Node`, { value: median(ratios(agentMiB, nodeMiB)), limit: aims.ofNode, unit: '×' }),
        atMost(`CPU < ${aims.cpuPercent} %`, { value: median(percent), limit: aims.cpuPercent, unit: '%' }),
      ],
      notes: [
        'Resident memory (RSS) and CPU of the agent process, of one core, with an enrolled idle host and the user engine; polls of 25 s.',
      ],
    }
  } finally {
    await node.stop()
    await fleet.remove()
  }
}

await benchmark(run)
