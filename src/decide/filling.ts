import type { EngineName } from '../model/job.ts'
import type { Step } from '../model/plan.ts'
import type { Queue } from '../model/spec.ts'
import type { JobClass, QueuedJob } from '../model/world.ts'
import { loadOf, shareOf, shareOfQueue, takeRoom, type Fleet, type HostGroup, type Moment, type Place } from './fleet.ts'
import { createHeap, type Heap } from './heap.ts'
import { createTrials, type CanaryLine, type Trials } from './images/trials.ts'
import type { Fit, Matcher } from './matching.ts'
import { compareText } from './sorted-map.ts'
import { createVacancies, type Vacancies, type Vacancy } from './vacancies.ts'

/** One class while a pass hands out hosts. */
export interface ClassLine {
  readonly jobClass: JobClass
  readonly fit: Fit
  /** The next job that may be placed; undefined: none left. */
  head: QueuedJob | undefined
  readonly rest: Iterator<QueuedJob, undefined, undefined>
  vacancy: Vacancy | null
  placed: number
  /** Why the pass went no further with it. */
  stopped: 'noCapacity' | 'queueLimit' | null
  /** Host kept free for its head. */
  hold: Place | null
  /** What some of its jobs get instead; null: its image has no canary of this kind. */
  readonly canary: CanaryLine | null
}

interface QueueLine {
  readonly name: string
  readonly weight: number
  readonly limit: number
  readonly lines: Heap<ClassLine>
  running: number
  share: number
}

export interface Filling {
  readonly steps: Step[]
  readonly lines: readonly ClassLine[]
  /** Hosts that are kept free for a job that waited for too long. */
  readonly held: readonly Place[]
}

/**
 * Hands out hosts job by job: always to the queue with the least share for its weight that still has a job with room somewhere.
 * What one queue leaves is lent to the others; it comes back as their jobs end, since then this queue has the least share.
 */
export function fillFleet(moment: Moment, fleet: Fleet, matcher: Matcher): Filling {
  const vacancies = createVacancies()
  const trials = createTrials(moment, matcher)
  const lines = [...moment.world.classes.values()].map((jobClass) => openLine(jobClass, { moment, fleet, matcher, trials }))
  const queues = openQueues(moment, fleet, lines)
  const held = holdHosts(queues, moment, vacancies)
  const order = createHeap(queues, compareQueues)
  const steps: Step[] = []
  for (let queue = order.pop(); queue !== undefined; queue = order.pop()) {
    const step = serve(queue, fleet, { vacancies, trials })
    if (step !== undefined) steps.push(step)
    if (queue.lines.size > 0) order.push(queue)
  }
  return { steps, lines, held }
}

interface LineTools {
  readonly moment: Moment
  readonly fleet: Fleet
  readonly matcher: Matcher
  readonly trials: Trials
}

function openLine(jobClass: JobClass, tools: LineTools): ClassLine {
  const rest = placeable(jobClass, tools.moment)
  const fit = tools.matcher.fit(jobClass)
  const canary = tools.trials.lineOf(jobClass)
  return { jobClass, fit, head: rest.next().value, rest, vacancy: null, placed: 0, stopped: null, hold: null, canary }
}

/** Jobs that may start now: not cancelled, not before their retry is due, with no attempt that may still be alive. */
function* placeable(jobClass: JobClass, moment: Moment): Generator<QueuedJob, undefined, undefined> {
  for (const job of jobClass.jobs.values()) {
    if (!job.cancelRequested && job.notBefore <= moment.now && !job.isBusy) yield job
  }
}

function openQueues(moment: Moment, fleet: Fleet, lines: readonly ClassLine[]): QueueLine[] {
  const byQueue = new Map<string, ClassLine[]>()
  for (const line of lines) {
    if (line.head === undefined || line.fit.usable.length === 0) continue
    const known = byQueue.get(line.jobClass.queue)
    if (known === undefined) byQueue.set(line.jobClass.queue, [line])
    else known.push(line)
  }
  const queues: QueueLine[] = []
  for (const [name, ofQueue] of byQueue) {
    const settings = moment.spec.queues[name]
    if (settings !== undefined) queues.push(openQueue(name, settings, { ofQueue, fleet, moment }))
  }
  return queues.sort(compareQueues)
}

function openQueue(name: string, settings: Queue, given: { ofQueue: ClassLine[]; fleet: Fleet; moment: Moment }): QueueLine {
  const load = given.moment.world.queueLoads.get(name)
  const running = load?.running ?? 0
  const share = shareOfQueue(load, given.fleet.totals)
  const limit = settings.maxRunning ?? Number.POSITIVE_INFINITY
  return { name, weight: settings.weight, limit, running, share, lines: createHeap(given.ofQueue, compareLines) }
}

/** Least share for its weight first; then the queue whose next job waits longest; then by name. */
function compareQueues(a: QueueLine, b: QueueLine): number {
  return a.share / a.weight - b.share / b.weight || compareHeads(a.lines.peek(), b.lines.peek()) || compareText(a.name, b.name)
}

/** Priority first, then the oldest job, then its id. */
function compareLines(a: ClassLine, b: ClassLine): number {
  return b.jobClass.priority - a.jobClass.priority || compareHeads(a, b)
}

function compareHeads(a: ClassLine | undefined, b: ClassLine | undefined): number {
  if (a?.head === undefined || b?.head === undefined) return 0
  return a.head.submittedAt - b.head.submittedAt || compareText(a.head.id, b.head.id)
}

/** Places the next job of a queue, or finds that its first class can have nothing more in this pass. */
function serve(queue: QueueLine, fleet: Fleet, tools: Tools): Step | undefined {
  const line = queue.lines.pop()
  if (line?.head === undefined) return undefined
  if (queue.running >= queue.limit) {
    line.stopped = 'queueLimit'
    return undefined
  }
  const { jobClass, head } = line
  const found = findPlace(line, head, tools)
  if (found === undefined) {
    line.stopped = 'noCapacity'
    return undefined
  }
  const { place, buildId } = found
  takeRoom(place, jobClass)
  queue.running += 1
  queue.share += shareOf(jobClass.shape, jobClass.engine, fleet.totals)
  line.placed += 1
  line.head = line.rest.next().value
  if (line.head !== undefined) queue.lines.push(line)
  const { withLabels } = line.fit
  const why = withLabels === 1 ? 'the only matching host' : `least loaded of ${withLabels} matching hosts`
  return {
    kind: 'assign',
    jobId: head.id,
    jobGeneration: head.generation,
    hostId: place.host.id,
    hostGeneration: place.host.generation,
    ...(buildId === undefined ? {} : { buildId }),
    why,
  }
}

interface Found {
  readonly place: Place
  /** Build of the job's image that it gets there; undefined: its image has none, or it asks for none. */
  readonly buildId: string | undefined
}

/** The best host for the next job of a class: that of a canary when it is the canary's turn. */
function findPlace(line: ClassLine, { avoidHosts }: QueuedJob, { vacancies, trials }: Tools): Found | undefined {
  const { canary } = line
  const trial = canary === null ? undefined : trials.take(canary, vacancies, avoidHosts)
  const place = trial ?? vacancyOf(line, vacancies).best(avoidHosts)
  if (place === undefined) return undefined
  if (canary !== null) trials.count(canary, trial === undefined ? 'control' : 'canary')
  return { place, buildId: trial === undefined ? buildOn(place, line.jobClass) : canary?.build }
}

interface Tools {
  readonly vacancies: Vacancies
  readonly trials: Trials
}

function buildOn({ view }: Place, { image }: JobClass): string | undefined {
  return image === null ? undefined : view.builds.get(image)
}

function vacancyOf(line: ClassLine, vacancies: Vacancies): Vacancy {
  line.vacancy ??= vacancies.of(line.fit.usable, line.jobClass)
  return line.vacancy
}

/**
 * Small jobs could keep a large one waiting for ever, since each gap is filled at once. When the first job of a queue waited for
 * `holdAfter`, the usable host that is nearest to having room gets nothing new until the job fits. Its load then only falls,
 * so that the next passes choose it again.
 *
 * Only the queue with the least share may hold, among those that wait for the same hosts: the next room there is its own anyway,
 * so that holding it takes nothing from the others that shares would give them.
 */
function holdHosts(queues: readonly QueueLine[], moment: Moment, vacancies: Vacancies): Place[] {
  const claimed = new Set<HostGroup>()
  const held: Place[] = []
  for (const queue of queues) {
    const line = queue.lines.peek()
    if (line === undefined || !isOverdue(line, queue, moment) || vacancyOf(line, vacancies).best([]) !== undefined) continue
    const free = line.fit.usable.filter((group) => !claimed.has(group))
    for (const group of free) claimed.add(group)
    const nearest = leastLoaded(free, line.jobClass.engine)
    if (nearest === null) continue
    nearest.heldFor = line.jobClass.key
    line.hold = nearest
    held.push(nearest)
  }
  return held
}

function isOverdue(line: ClassLine, queue: QueueLine, moment: Moment): boolean {
  if (line.head === undefined || queue.running >= queue.limit) return false
  const dueAt = Math.max(line.head.submittedAt, line.head.notBefore) + moment.spec.limits.holdAfter
  moment.horizon.note(dueAt)
  return moment.now >= dueAt
}

function leastLoaded(groups: readonly HostGroup[], engine: EngineName): Place | null {
  let least: { readonly place: Place; readonly load: number } | null = null
  for (const group of groups) {
    for (const place of group.open) {
      const load = loadOf(place, engine)
      if (least === null || load < least.load || (load === least.load && place.index < least.place.index)) least = { place, load }
    }
  }
  return least?.place ?? null
}
