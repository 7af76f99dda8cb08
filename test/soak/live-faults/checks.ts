import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HostView, JobView } from '../../../src/model/api.ts'
import { allJobs } from '../../e2e/api.ts'
import { apiOfController } from '../controllers.ts'
import { logProblems, problemsOf, type Submitted } from '../job-stream.ts'
import { isReady, type LiveFleet } from './live-fleet.ts'

/** How long things may stand still when nothing goes wrong any more: how fast they go depends on the machine, that they do must not. */
const standstillMs = 120_000

/** Looks until nothing is found to complain of; what is still found when that has not become less for a while is answered. */
async function complaintsAfter(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  let fewest = Number.POSITIVE_INFINITY
  let lessAt = performance.now()
  for (;;) {
    const found = await look().catch((error: unknown) => [String(error)])
    if (found.length === 0) return []
    if (found.length < fewest) {
      fewest = found.length
      lessAt = performance.now()
    }
    if (performance.now() - lessAt > standstillMs) return found
    await sleep(500)
  }
}

/** Every accepted job of a round comes to its end. */
export async function untilEnded(fleet: LiveFleet, accepted: readonly Submitted[]): Promise<readonly string[]> {
  const ids = new Set(accepted.map(({ id }) => id))
  const stuck = await complaintsAfter(async () =>
    (await allJobs(fleet.api))
      .filter((job) => ids.has(job.id) && job.state !== 'ended')
      .map(
        ({ id, state, attempts }) => `${id} is ${state} after ${attempts.length} attempts, on ${attempts.at(-1)?.hostName ?? 'no host'}`,
      ),
  )
  const [first] = stuck
  if (first === undefined) return []
  return [...stuck, `why: ${JSON.stringify(await fleet.api.get(`/explain/job/${first.split(' ')[0] ?? ''}`))}`]
}

/** Of a quarantine, which nobody but a person ends, the reason is enough. */
function isReadyOrSaysWhy(host: HostView): boolean {
  return isReady(host) || (host.state === 'up' && host.schedulable.kind === 'quarantined' && host.schedulable.reason !== '')
}

export function untilReady(fleet: LiveFleet): Promise<readonly string[]> {
  return complaintsAfter(async () =>
    (await fleet.views())
      .filter((host) => !isReadyOrSaysWhy(host))
      .map(
        ({ name, state, schedulable, readiness }) => `${name} is ${state}, ${JSON.stringify(schedulable)}: ${JSON.stringify(readiness)}`,
      ),
  )
}

/** Ends every quarantine, as a person would who read the reason, and answers the reasons. */
export async function endQuarantines(fleet: LiveFleet): Promise<readonly string[]> {
  const told: string[] = []
  for (const { name, schedulable, generation } of await fleet.views()) {
    if (schedulable.kind !== 'quarantined') continue
    told.push(`${name}: ${schedulable.reason}`)
    await fleet.api.post(`/hosts/${name}/uncordon`, {}, { 'if-match': `"${generation}"` })
  }
  return told
}

/** What hosts hold though no job of theirs is left. */
export function untilNothingIsHeld(fleet: LiveFleet): Promise<readonly string[]> {
  return complaintsAfter(async () => (await Promise.all(fleet.hosts.map((host) => host.left()))).flat())
}

/** Of jobs that ended: exactly one outcome, the command's; the log, from either controller, byte by byte; a journal that verifies. */
export async function broken(
  fleet: LiveFleet,
  accepted: readonly Submitted[],
  jobs: ReadonlyMap<string, JobView>,
): Promise<readonly string[]> {
  const { token } = fleet.address()
  const logs = await Promise.all(fleet.controllers.map((controller) => logProblems(apiOfController(controller, token), accepted)))
  const audit = await fleet.api.get<{ ok: boolean; problem: string | null }>('/audit/verify')
  return [...problemsOf(accepted, jobs), ...logs.flat(), ...(audit.ok ? [] : [`the journal does not verify: ${audit.problem ?? ''}`])]
}

/** What is there in the box besides jobs: to be compared with what was there before the fleet. */
export function inBox(): readonly string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean)
  const processes = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
        return command === '' ? [] : [`process ${pid} ${command.slice(0, 200)}`]
      } catch {
        // It ended while this looked.
        return []
      }
    })
  const networks = readdirSync('/sys/class/net').map((name) => `network device ${name}`)
  return [...mounts.map((mount) => `mount ${mount}`), ...processes, ...networks]
}
