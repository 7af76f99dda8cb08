import { isManaged } from '../model/image/managed.ts'
import type { Instant } from '../model/instant.ts'
import type { WaitingCode } from '../model/plan.ts'
import type { JobClass } from '../model/world.ts'
import { sharedTexts } from './cause-texts.ts'
import { lacking, type Fleet, type HostGroup, type Moment, type Place } from './fleet.ts'
import { closedReason, counted, hostsListed } from './host-reasons.ts'
import { otherValues, type Fit, type Hindrance } from './matching.ts'
import { poolsOfQueue } from './pools.ts'

/** One thing that keeps jobs from hosts. */
export interface Cause {
  readonly code: WaitingCode
  readonly message: string
  readonly cure: string
  /** Ids of the first hosts it holds for, and how many there are. */
  readonly hosts: readonly string[]
  readonly hostCount: number
  /** When the cause began, if the world knows; null: the oldest job says since when. */
  readonly since: Instant | null
}

/** Says why jobs are not placed; classes that match hosts in the same way are told the same, worked out once. */
export interface Teller {
  causesOf(jobClass: JobClass, fit: Fit): readonly Cause[]
}

interface Asked {
  readonly moment: Moment
  readonly fleet: Fleet
  readonly held: readonly Place[]
}

interface Scene extends Asked {
  readonly firsts: FirstPlaces
}

export function createTeller(asked: Asked): Teller {
  const scene: Scene = { ...asked, firsts: createFirstPlaces() }
  const told = new Map<Fit, readonly Cause[]>()
  return {
    causesOf(jobClass, fit) {
      // A queue that is not in the spec matches no pool, as a pool without hosts does: only this cause names the queue.
      if (!Object.hasOwn(scene.moment.spec.queues, jobClass.queue)) return [noQueueCause(jobClass.queue)]
      let causes = told.get(fit)
      if (causes === undefined) {
        causes = makeCauses(jobClass, fit, scene)
        told.set(fit, causes)
      }
      return causes
    },
  }
}

function noQueueCause(queue: string): Cause {
  const cure = `add queues.${queue} to cidery.yaml and run cidery apply, or cancel its jobs`
  return { code: 'noHosts', message: `queue ${queue} is not in the spec`, cure, hosts: [], hostCount: 0, since: null }
}

function makeCauses(jobClass: JobClass, fit: Fit, scene: Scene): Cause[] {
  const missing = missingCause(jobClass, fit, scene)
  if (missing !== null) return [missing]
  const hindrances = fit.hindrances.map((hindrance) => hindranceCause(hindrance, jobClass, scene))
  return fit.usable.length === 0 ? hindrances : [...capacityCauses(jobClass, fit, scene), ...hindrances]
}

/** What is missing altogether: hosts in the pools, the engine, or a label. */
function missingCause(jobClass: JobClass, fit: Fit, scene: Scene): Cause | null {
  if (fit.withLabels > 0) return null
  const { spec } = scene.moment
  const queue = spec.queues[jobClass.queue]
  const pools = queue === undefined ? [] : poolsOfQueue(spec, queue)
  const [first = 'default'] = pools
  const where = pools.length === 1 ? `pool ${first}` : `pools ${pools.join(', ')}`
  if (fit.inPools === 0) {
    return {
      code: 'noHosts',
      message: `no host is in ${where}`,
      cure: `cidery host add --pool ${first}`,
      hosts: [],
      hostCount: 0,
      since: null,
    }
  }
  const inPools = scene.fleet.groups.filter((group) => pools.includes(group.view.poolName))
  if (fit.withEngine > 0) return labelCause(jobClass, { where, first, inPools }, scene)
  const message = `no host of ${where} offers engine ${jobClass.engine}`
  const cure = `use another engine, or a pool whose hosts have ${jobClass.engine}`
  return { code: 'engineUnsupported', message, cure, ...hostsOf(allLists(inPools), scene), since: null }
}

function allLists(groups: readonly HostGroup[]): (readonly Place[])[] {
  return groups.flatMap((group) => [group.open, ...group.closed.values()])
}

/** Hosts of a group have the same value of every label that some job selects by. */
function labelCause(jobClass: JobClass, asked: { where: string; first: string; inPools: readonly HostGroup[] }, scene: Scene): Cause {
  const { where, first, inPools } = asked
  const entries = Object.entries(jobClass.labels)
  const nowhere = entries.find(([name, wanted]) => inPools.every((group) => group.view.labels[name] !== wanted))
  const [key, value] = nowhere ?? entries[0] ?? ['', '']
  const others = [...otherValues(inPools, key)].filter(([other]) => other !== value)
  const known = others.slice(0, 3).map(([other, count]) => `${counted(count, 'host')} ${count === 1 ? 'has' : 'have'} ${key}=${other}`)
  const wanted = nowhere === undefined ? entries.map(([name, text]) => `${name}=${text}`).join(' and ') : `${key}=${value}`
  const message = [`no host of ${where} with engine ${jobClass.engine} has the label ${wanted}`, ...known].join('; ')
  const cure = `ask for another label, or give a host this one: pools.${first}.labels.${key} in cidery.yaml`
  return { code: 'noMatch', message, cure, ...hostsOf(allLists(inPools), scene), since: null }
}

function hindranceCause(hindrance: Hindrance, jobClass: JobClass, scene: Scene): Cause {
  const { code, lists, groups } = hindrance
  const { hosts, hostCount } = hostsOf(lists, scene)
  const first = scene.firsts(lists)[0] as Place
  const tell = sharedTexts[code]
  if (tell !== undefined) {
    const isManagedImage = jobClass.image !== null && isManaged(scene.moment.spec, jobClass.image)
    const told = { hosts: counted(hostCount, 'matching host'), name: first.host.name, groups, jobClass, isManaged: isManagedImage }
    return { code, ...tell(told), hosts, hostCount, since: null }
  }
  const reason = closedReason(first, code, scene.moment)
  const more = hostCount > 1 ? `, and ${counted(hostCount - 1, 'more host')} likewise` : ''
  return { code, message: `${reason.message}${more}`, cure: reason.cure, hosts, hostCount, since: reason.since }
}

type FirstPlaces = (lists: readonly (readonly Place[])[]) => readonly Place[]

/** Gives the first hosts of several lists by id; many classes ask for the same lists, so that each answer is kept for the pass. */
function createFirstPlaces(): FirstPlaces {
  const numbers = new Map<readonly Place[], number>()
  const answers = new Map<string, readonly Place[]>()
  return (lists) => {
    let key = ''
    for (const list of lists) {
      const number = numbers.get(list) ?? numbers.size
      numbers.set(list, number)
      key += `${number},`
    }
    const known = answers.get(key)
    if (known !== undefined) return known
    const firsts = lists.flatMap((list) => list.slice(0, hostsListed))
    const answer = firsts.sort((a, b) => a.index - b.index).slice(0, hostsListed)
    answers.set(key, answer)
    return answer
  }
}

function hostsOf(lists: readonly (readonly Place[])[], scene: Scene): Pick<Cause, 'hosts' | 'hostCount'> {
  let hostCount = 0
  for (const list of lists) hostCount += list.length
  return { hosts: scene.firsts(lists).map((place) => place.host.id), hostCount }
}

function capacityCauses(jobClass: JobClass, fit: Fit, scene: Scene): Cause[] {
  const held = scene.held.filter((place) => place.group !== null && fit.usable.includes(place.group) && lacking(place, jobClass) === null)
  const lists = fit.usable.map((group) => (held.length === 0 ? group.open : group.open.filter((place) => !held.includes(place))))
  const causes: Cause[] = []
  if (lists.some((list) => list.length > 0)) causes.push(fullCause(jobClass, lists, scene))
  if (held.length > 0) causes.push(heldCause(jobClass, held, scene))
  return causes
}

function fullCause(jobClass: JobClass, lists: readonly (readonly Place[])[], scene: Scene): Cause {
  const lacks = new Map<string, number>()
  const looked = scene.firsts(lists)
  for (const place of looked) {
    const what = lacking(place, jobClass) ?? 'room'
    lacks.set(what, (lacks.get(what) ?? 0) + 1)
  }
  const parts = [...lacks].map(([what, count]) => `${count} of ${looked.length} ${count === 1 ? 'lacks' : 'lack'} ${what}`)
  const { hosts, hostCount } = hostsOf(lists, scene)
  const message = `${counted(hostCount, 'matching host')} ${hostCount === 1 ? 'is' : 'are'} full: ${parts.join(', ')}`
  return {
    code: 'noCapacity',
    message,
    cure: 'wait for running jobs, ask for less, or add a host: cidery host add',
    hosts,
    hostCount,
    since: null,
  }
}

function heldCause(jobClass: JobClass, held: readonly Place[], scene: Scene): Cause {
  const owner = held[0]?.heldFor?.split('/')[0] ?? ''
  const hosts = `${counted(held.length, 'host')} with room ${held.length === 1 ? 'is' : 'are'}`
  const message = `${hosts} kept free for a job of queue ${owner} that waited longer than limits.holdAfter`
  return {
    code: 'fairShare',
    message,
    cure: `wait, or give queue ${jobClass.queue} a larger weight`,
    ...hostsOf([held], scene),
    since: null,
  }
}
