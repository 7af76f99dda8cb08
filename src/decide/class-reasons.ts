import { formatDuration, type Instant } from '../model/instant.ts'
import type { Waiting, WaitingCode } from '../model/plan.ts'
import type { JobClass, QueuedJob } from '../model/world.ts'
import { heldPlaces, type ClassLine } from './filling.ts'
import { lacking, type Fleet, type HostGroup, type Moment, type Place } from './fleet.ts'
import { closedReason, counted, hostsListed, type Reason } from './host-reasons.ts'
import { otherValues, type Hindrance } from './matching.ts'
import { poolsOfQueue } from './pools.ts'
import { firstValue } from './sorted-map.ts'

interface Cause {
  readonly code: WaitingCode
  readonly message: string
  readonly cure: string
  /** When the cause began, if the world knows; else the oldest job says since when. */
  readonly since: Instant | null
  readonly places: readonly Place[]
}

/** Why the jobs of a class that were not placed in this pass wait: one entry per cause, never none while a job waits. */
export function classWaiting(line: ClassLine, moment: Moment, fleet: Fleet): Waiting[] {
  const { jobClass } = line
  const special = countSpecial(jobClass, moment, fleet)
  const count = jobClass.jobs.size - special.held - line.placed
  const waiting: Waiting[] = [...special.waiting]
  if (count <= 0) return waiting
  const oldest = line.head?.submittedAt ?? firstValue(jobClass.jobs)?.submittedAt ?? moment.now
  for (const cause of causesOf(line, moment, fleet)) {
    const hosts = idsOf(cause.places)
    const since = Math.max(oldest, cause.since ?? oldest)
    const { code, message, cure } = cause
    waiting.push({ subject: `class/${jobClass.key}`, code, message, cure, hosts, hostCount: cause.places.length, jobCount: count, since })
  }
  return waiting
}

/** Jobs of a class that no host could help now: cancelled, waiting for their retry, or with an attempt that may be alive. */
function countSpecial(jobClass: JobClass, moment: Moment, fleet: Fleet): { held: number; waiting: Waiting[] } {
  let cancelled = 0
  const delayed: QueuedJob[] = []
  const busy: QueuedJob[] = []
  for (const job of jobClass.special.values()) {
    if (job.cancelRequested) cancelled += 1
    else if (fleet.busyJobs.has(job.id)) busy.push(job)
    else if (job.notBefore > moment.now) delayed.push(job)
  }
  const waiting: Waiting[] = []
  if (delayed.length > 0) waiting.push(delayEntry(jobClass, delayed, moment))
  if (busy.length > 0) waiting.push(busyEntry(jobClass, busy))
  return { held: cancelled + delayed.length + busy.length, waiting }
}

function delayEntry(jobClass: JobClass, delayed: readonly QueuedJob[], moment: Moment): Waiting {
  const next = Math.min(...delayed.map((job) => job.notBefore))
  moment.horizon.note(next)
  const message = `${counted(delayed.length, 'job')} failed for a fault of the infrastructure; the next try is in ${formatDuration(next - moment.now)}`
  return specialEntry(jobClass, delayed, {
    code: 'retryDelay',
    message,
    cure: `nothing to do; cidery job show ${delayed[0]?.id ?? ''} tells what failed`,
  })
}

function busyEntry(jobClass: JobClass, busy: readonly QueuedJob[]): Waiting {
  const message = `${counted(busy.length, 'job')} may still be running in an attempt that did not report its end`
  return specialEntry(jobClass, busy, {
    code: 'leaseRunning',
    message,
    cure: `cidery job show ${busy[0]?.id ?? ''} names the host; its report, reboot or retirement ends the wait`,
  })
}

function specialEntry(jobClass: JobClass, jobs: readonly QueuedJob[], told: { code: WaitingCode; message: string; cure: string }): Waiting {
  const since = Math.min(...jobs.map((job) => job.submittedAt))
  return { subject: `class/${jobClass.key}`, ...told, hosts: [], hostCount: 0, jobCount: jobs.length, since }
}

function idsOf(places: readonly Place[]): string[] {
  if (places.length <= hostsListed) return byIndex(places).map((place) => place.host.id)
  const first: Place[] = []
  for (const place of places) {
    if (first.length === hostsListed && place.index > (first.at(-1) as Place).index) continue
    first.push(place)
    first.sort((a, b) => a.index - b.index)
    first.length = Math.min(first.length, hostsListed)
  }
  return first.map((place) => place.host.id)
}

function byIndex(places: readonly Place[]): Place[] {
  return [...places].sort((a, b) => a.index - b.index)
}

function causesOf(line: ClassLine, moment: Moment, fleet: Fleet): Cause[] {
  const { jobClass, fit } = line
  if (line.stopped === 'queueLimit') return [queueLimitCause(jobClass, moment)]
  const missing = missingCause(line, moment, fleet)
  if (missing !== null) return [missing]
  const causes = fit.hindrances.map((hindrance) => hindranceCause(hindrance, jobClass, moment))
  if (fit.usable.length > 0) causes.unshift(...capacityCauses(line))
  return causes
}

function queueLimitCause(jobClass: JobClass, moment: Moment): Cause {
  const { queue } = jobClass
  const limit = moment.spec.queues[queue]?.maxRunning ?? 0
  const message = `queue ${queue} runs as many jobs as its limit allows (${limit})`
  return { code: 'queueLimit', message, cure: `wait, or raise queues.${queue}.maxRunning in cidery.yaml`, since: null, places: [] }
}

/** What is missing altogether: the queue, hosts in its pools, the engine, or a label. */
function missingCause(line: ClassLine, moment: Moment, fleet: Fleet): Cause | null {
  const { jobClass, fit } = line
  const { queue } = jobClass
  const settings = moment.spec.queues[queue]
  const none = { since: null, places: [] }
  if (settings === undefined) {
    const cure = `add queues.${queue} to cidery.yaml and run cidery apply, or cancel its jobs`
    return { code: 'noHosts', message: `queue ${queue} is not in the spec`, cure, ...none }
  }
  const pools = poolsOfQueue(moment.spec, settings)
  const where = pools.length === 1 ? `pool ${pools[0] ?? ''}` : `pools ${pools.join(', ')}`
  if (fit.inPools === 0) {
    return { code: 'noHosts', message: `no host is in ${where}`, cure: `cidery host add --pool ${pools[0] ?? 'default'}`, ...none }
  }
  const inPools = [...fleet.places.values()].filter((place) => pools.includes(place.view.poolName))
  if (fit.withEngine === 0) {
    const message = `no host of ${where} offers engine ${jobClass.engine}`
    return {
      code: 'engineUnsupported',
      message,
      cure: `use another engine, or a pool whose hosts have ${jobClass.engine}`,
      since: null,
      places: inPools,
    }
  }
  return fit.withLabels === 0 ? labelCause(jobClass, { where, pools, inPools }, fleet) : null
}

function labelCause(
  jobClass: JobClass,
  asked: { where: string; pools: readonly string[]; inPools: readonly Place[] },
  fleet: Fleet,
): Cause {
  const entries = Object.entries(jobClass.labels)
  const [key, value] = entries.find(([name, wanted]) => asked.inPools.every((place) => place.view.labels[name] !== wanted)) ??
    entries[0] ?? ['', '']
  const others = [...otherValues(fleet, new Set(asked.pools), key)].filter(([other]) => other !== value)
  const known = others.slice(0, 3).map(([other, count]) => `${counted(count, 'host')} ${count === 1 ? 'has' : 'have'} ${key}=${other}`)
  const isCombination = asked.inPools.some((place) => place.view.labels[key] === value)
  const wanted = isCombination ? entries.map(([name, text]) => `${name}=${text}`).join(' and ') : `${key}=${value}`
  const message = [`no host of ${asked.where} with engine ${jobClass.engine} has the label ${wanted}`, ...known].join('; ')
  const cure = `ask for another label, or give a host this one: pools.${asked.pools[0] ?? 'default'}.labels.${key} in cidery.yaml`
  return { code: 'noMatch', message, cure, since: null, places: asked.inPools }
}

function hindranceCause(hindrance: Hindrance, jobClass: JobClass, moment: Moment): Cause {
  const { code, places, groups } = hindrance
  const tell = sharedTexts[code]
  if (tell !== undefined) {
    const told = { hosts: counted(places.length, 'matching host'), name: places[0]?.host.name ?? '', groups, jobClass }
    return { code, ...tell(told), since: null, places }
  }
  const first = byIndex(places.slice(0, hostsListed))[0] as Place
  const reason: Reason = closedReason(first, code, moment)
  const more = places.length > 1 ? `, and ${counted(places.length - 1, 'more host')} likewise` : ''
  return { code, message: `${reason.message}${more}`, cure: reason.cure, since: reason.since, places }
}

interface Told {
  readonly hosts: string
  readonly name: string
  readonly groups: readonly HostGroup[]
  readonly jobClass: JobClass
}

interface Text {
  readonly message: string
  readonly cure: string
}

/** What is told of hosts together, since it is the same on all of them. */
const sharedTexts: { readonly [code in WaitingCode]?: (told: Told) => Text } = {
  engineUnsupported: ({ hosts, jobClass }) => ({
    message: `engine ${jobClass.engine} on ${hosts} runs no images`,
    cure: 'leave the image away, or use an engine that boots images',
  }),
  networkUnsupported: ({ hosts, jobClass }) => ({
    message: `${hosts} cannot give engine ${jobClass.engine} the network "${jobClass.network}"`,
    cure: `ask for another network, or add it to pools.<pool>.engines.${jobClass.engine}.networks`,
  }),
  limitUnenforceable: ({ hosts, groups, jobClass }) => ({
    message: `${hosts} cannot enforce limits of ${groups[0]?.view.engines.get(jobClass.engine)?.unenforced.join(', ') ?? ''} for engine ${jobClass.engine}`,
    cure: `set pools.<pool>.engines.${jobClass.engine}.limits: advisory to count them only, or use another pool`,
  }),
  tooLarge: ({ hosts, groups, jobClass }) => ({
    message: `the job is larger than ${hosts}: ${largest(groups, jobClass)}`,
    cure: 'ask for less CPU, memory or disk, or add a larger host',
  }),
  imageMissing: ({ hosts, name, jobClass }) => ({
    message: `image ${jobClass.image ?? ''} is not on ${hosts}`,
    cure: `wait until it is pulled, or cidery host show ${name}`,
  }),
  readinessUnknown: ({ hosts, name, jobClass }) => ({
    message: `${hosts} did not prove lately that ${proofOf(jobClass)} starts`,
    cure: `wait for the next probe, or cidery host probe ${name}`,
  }),
  hostNotReady: ({ hosts, name, groups, jobClass }) => ({
    message: `${hosts} cannot start ${proofOf(jobClass)}: ${unreadyText(groups[0], jobClass)}`,
    cure: `cidery host show ${name}`,
  }),
}

function proofOf(jobClass: JobClass): string {
  return jobClass.image === null ? `a ${jobClass.engine} sandbox` : `image ${jobClass.image}`
}

function unreadyText(group: HostGroup | undefined, jobClass: JobClass): string {
  const engine = group?.view.engines.get(jobClass.engine)
  if (engine?.facts.ok === false) return engine.facts.problems[0] ?? `engine ${jobClass.engine} does not work there`
  const verdict = engine?.verdicts.get(jobClass.image ?? '')
  return verdict === undefined || verdict.state === 'ready' ? 'it was not proved' : verdict.reason
}

/** The first resource that no host has enough of, with what the job wants and what the largest host has. */
function largest(groups: readonly HostGroup[], jobClass: JobClass): string {
  const parts = [
    ['CPU', 'cpu', ''],
    ['memory', 'memoryMiB', ' MiB'],
    ['disk', 'diskMiB', ' MiB'],
  ] as const
  const found = parts
    .map(([name, key, unit]) => ({
      name,
      unit,
      wanted: jobClass.shape[key],
      most: Math.max(...groups.map((group) => group.view.capacity?.[key] ?? 0)),
    }))
    .filter((part) => part.wanted > part.most)
    .map((part) => `it wants ${part.wanted}${part.unit} of ${part.name}, the largest has ${part.most}${part.unit}`)
  return found[0] ?? 'no single host has enough of all it wants'
}

function capacityCauses(line: ClassLine): Cause[] {
  const { jobClass, fit } = line
  const held = heldPlaces(line)
  const causes: Cause[] = []
  const open = fit.usable.flatMap((group) => group.open)
  if (held.length < open.length) causes.push(fullCause(line, held.length === 0 ? open : open.filter((place) => !held.includes(place))))
  if (held.length > 0) {
    const owner = held[0]?.heldFor?.split('/')[0] ?? ''
    const message = `${counted(held.length, 'host')} with room ${held.length === 1 ? 'is' : 'are'} kept free for a job of queue ${owner} that waited longer than the limit`
    causes.push({ code: 'fairShare', message, cure: `wait, or give queue ${jobClass.queue} a larger weight`, since: null, places: held })
  }
  return causes
}

function fullCause(line: ClassLine, places: readonly Place[]): Cause {
  const lacks = new Map<string, number>()
  const looked = places.slice(0, hostsListed)
  for (const place of looked) {
    const what = lacking(place, line.jobClass) ?? 'a slot'
    lacks.set(what, (lacks.get(what) ?? 0) + 1)
  }
  const parts = [...lacks].map(([what, count]) => `${count} of ${looked.length} ${count === 1 ? 'lacks' : 'lack'} ${what}`)
  const kept = line.hold === null ? '' : `; ${line.hold.host.name} is kept free for it`
  const message = `${counted(places.length, 'matching host')} ${places.length === 1 ? 'is' : 'are'} full: ${parts.join(', ')}${kept}`
  return { code: 'noCapacity', message, cure: 'wait for running jobs, ask for less, or add a host: cidery host add', since: null, places }
}
