import { poolNameOf } from '../../decide/pools.ts'
import type { Spec } from '../../model/spec.ts'
import type { Recorder } from '../../record/commit.ts'
import { allHosts } from '../../record/hosts.ts'
import { countByQueue } from '../../record/jobs.ts'

export interface SpecChange {
  readonly path: string
  readonly from: unknown
  readonly to: unknown
}

/** Every field that differs, by its path, in order of paths; `null` for a field that is not there. */
export function changesOf(from: unknown, to: unknown, path = ''): SpecChange[] {
  if (JSON.stringify(from) === JSON.stringify(to)) return []
  if (!isRecord(from) || !isRecord(to)) return [{ path, from: from ?? null, to: to ?? null }]
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted()
  return names.flatMap((name) => changesOf(from[name], to[name], path === '' ? name : `${path}.${name}`))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What differs between two specs, and what the change does to the hosts and jobs that there are. */
export async function diffSpecs(recorder: Recorder, from: Spec, to: Spec): Promise<{ changes: SpecChange[]; consequences: string[] }> {
  const { hosts, counts } = await recorder.read(async (db) => ({ hosts: await allHosts(db), counts: await countByQueue(db) }))
  const consequences: string[] = []
  for (const host of hosts) {
    const before = poolNameOf(from, host)
    const after = poolNameOf(to, host)
    if (!Object.hasOwn(to.pools, after)) consequences.push(`host ${host.name} belongs to no pool any more and runs nothing`)
    else if (before !== after) consequences.push(`host ${host.name} moves from pool ${before} to ${after}`)
  }
  for (const { queue, queued, running } of counts) {
    if (Object.hasOwn(to.queues, queue)) continue
    consequences.push(
      `queue ${queue} goes: ${queued} waiting jobs stay in it until they are cancelled, ${running} running jobs end as they do`,
    )
  }
  return { changes: changesOf(from, to), consequences }
}
