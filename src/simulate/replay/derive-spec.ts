import { stringify } from 'yaml'
import { engineNames } from '../../model/job.ts'
import type { EngineName } from '../../model/job.ts'
import type { Shape } from '../../model/shape.ts'
import type { TraceJob } from '../../model/trace.ts'

/** A spec for a trace that came without one: one pool `default`, the engines, images and queues that its jobs name. */
export function deriveSpec(jobs: readonly TraceJob[]): string {
  const queues = [...new Set(jobs.map(({ queue }) => queue))].sort()
  const images = [...new Set(jobs.flatMap(({ image }) => image ?? []))].sort()
  const engines = engineNames.filter((name) => jobs.some(({ engine }) => (engine ?? 'user') === name))
  return stringify({
    version: 1,
    pools: { default: { engines: Object.fromEntries(engines.map((name) => [name, {}])) } },
    images: Object.fromEntries(images.map((name) => [name, { engine: mostly(jobs.filter(({ image }) => image === name).map(engineOf)) }])),
    queues: Object.fromEntries(queues.map((name) => [name, queueOf(jobs.filter(({ queue }) => queue === name))])),
  })
}

function engineOf({ engine }: TraceJob): EngineName {
  return engine ?? 'user'
}

function queueOf(jobs: readonly TraceJob[]): object {
  const engine = mostly(jobs.map(engineOf))
  const image = mostly(jobs.filter((job) => engineOf(job) === engine).map((job) => job.image))
  const shape = mostly(jobs.flatMap((job) => (isWhole(job.shape) ? JSON.stringify(job.shape) : [])))
  return {
    engine,
    ...(image === null ? {} : { image }),
    ...(shape === null ? {} : { shape: JSON.parse(shape) as Shape }),
    maxQueued: 1_000_000,
  }
}

function isWhole(shape: Partial<Shape>): shape is Shape {
  return shape.cpu !== undefined && shape.memoryMiB !== undefined && shape.diskMiB !== undefined
}

/** The value that is there most often, the first of several. */
function mostly<T>(values: readonly T[]): T | null {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const [most] = [...counts].sort(([, one], [, other]) => other - one)
  return most === undefined ? null : most[0]
}
