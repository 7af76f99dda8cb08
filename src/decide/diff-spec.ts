import type { Instant } from '../model/instant.ts'
import type { Plan, WaitingCode } from '../model/plan.ts'
import type { Pool, Spec } from '../model/spec.ts'
import type { World } from '../model/world.ts'
import { decide } from './decide.ts'
import { counted } from './host-reasons.ts'
import { poolNameOf } from './pools.ts'
import { compareText } from './sorted-map.ts'

/** One field that differs; `undefined` stands for a field that is not there. */
export interface SpecChange {
  readonly path: string
  readonly from: unknown
  readonly to: unknown
}

/**
 * The fields that differ, in the order of their paths. Lists are compared as a whole.
 *
 * @example diffSpec(before, after) // [{ path: 'queues.ci.weight', from: 1, to: 2 }]
 */
export function diffSpec(before: Spec, after: Spec): SpecChange[] {
  return changesAt('', before, after).sort((a, b) => compareText(a.path, b.path))
}

function changesAt(path: string, from: unknown, to: unknown): SpecChange[] {
  if (isRecord(from) && isRecord(to)) {
    const keys = new Set([...Object.keys(from), ...Object.keys(to)])
    return [...keys].flatMap((key) => changesAt(path === '' ? key : `${path}.${key}`, from[key], to[key]))
  }
  return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * What applying a spec would do to this fleet, in sentences: hosts that change their pool or lose it, engines that get fewer slots, queues that
 * end with jobs in them, and jobs that would start or stop being placed.
 */
export function consequencesOf(before: Spec, after: Spec, scene: { readonly world: World; readonly now: Instant }): string[] {
  const { world, now } = scene
  return [
    ...hostMoves(before, after, world),
    ...slotChanges(before, after, world),
    ...queueEnds(before, after, world),
    ...waitingChanges(decide(before, world, now), decide(after, world, now)),
  ]
}

function hostMoves(before: Spec, after: Spec, world: World): string[] {
  const moves = new Map<string, string[]>()
  for (const host of world.hosts.values()) {
    const [from, to] = [poolNameOf(before, host), poolNameOf(after, host)]
    const isLost = Object.hasOwn(before.pools, from) && !Object.hasOwn(after.pools, to)
    if (from === to && !isLost) continue
    const text = isLost ? `pool ${to} is not in the spec any more: no job is placed on ` : `from pool ${from} to pool ${to}: `
    moves.set(text, [...(moves.get(text) ?? []), host.name])
  }
  return [...moves].map(([text, hosts]) => `${text}${listed(hosts)}`)
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}

function slotChanges(before: Spec, after: Spec, world: World): string[] {
  const sentences: string[] = []
  for (const [name, pool] of Object.entries(after.pools)) {
    const old = before.pools[name]
    if (old === undefined) continue
    const hosts = [...world.hosts.values()].filter((host) => host.state !== 'retired' && poolNameOf(after, host) === name).length
    if (hosts === 0) continue
    sentences.push(...engineChanges(name, [old, pool], hosts))
  }
  return sentences
}

function engineChanges(name: string, [old, pool]: readonly [Pool, Pool], hosts: number): string[] {
  const sentences: string[] = []
  const engines = new Set([...Object.keys(old.engines), ...Object.keys(pool.engines)])
  for (const engine of engines as Set<keyof Pool['engines']>) {
    const [from, to] = [old.engines[engine], pool.engines[engine]]
    if (to === undefined && Object.keys(pool.engines).length > 0) {
      sentences.push(`pool ${name} offers engine ${engine} no more on ${counted(hosts, 'host')}; what runs there ends as usual`)
    } else if (from?.slots !== to?.slots) {
      sentences.push(
        `engine ${engine} has ${slotText(to?.slots)} instead of ${slotText(from?.slots)} on each of ${counted(hosts, 'host')} of pool ${name}; what runs there ends as usual`,
      )
    }
  }
  return sentences
}

function slotText(slots: number | undefined): string {
  return slots === undefined ? 'as many slots as it allows' : counted(slots, 'slot')
}

function queueEnds(before: Spec, after: Spec, world: World): string[] {
  const sentences: string[] = []
  for (const name of Object.keys(before.queues).sort(compareText)) {
    if (Object.hasOwn(after.queues, name)) continue
    let waiting = 0
    for (const jobClass of world.classes.values()) if (jobClass.queue === name) waiting += jobClass.jobs.size
    sentences.push(`queue ${name} takes no more jobs; ${counted(waiting, 'job')} in it would wait for ever`)
  }
  return sentences
}

function waitingChanges(before: Plan, after: Plan): string[] {
  const [started, stopped] = [placed(after) - placed(before), placed(before) - placed(after)]
  const sentences: string[] = []
  if (started > 0) sentences.push(`${counted(started, 'more job')} would start at once`)
  if (stopped > 0) sentences.push(`${counted(stopped, 'job')} that could start now would wait`)
  const [old, now] = [countCodes(before), countCodes(after)]
  for (const [code, jobs] of now) {
    const more = jobs - (old.get(code) ?? 0)
    if (more > 0) sentences.push(`${counted(more, 'more job')} would wait for ${code}`)
  }
  return sentences
}

function placed(plan: Plan): number {
  return plan.steps.filter((step) => step.kind === 'assign').length
}

function countCodes(plan: Plan): ReadonlyMap<WaitingCode, number> {
  const counts = new Map<WaitingCode, number>()
  for (const { subject, code, jobCount } of plan.waiting) {
    if (subject.startsWith('class/')) counts.set(code, (counts.get(code) ?? 0) + jobCount)
  }
  return counts
}
