import type { Fault } from './faults/registry.ts'

/** Something that a fault names. */
export interface Target {
  /** Where in the fault: `host`, `hosts[2]`. */
  readonly field: string
  readonly kind: 'host' | 'job'
  readonly name: string
}

/** The fields of faults that name things. */
interface Naming {
  readonly host?: string
  /** A host, or `controller-1` …. */
  readonly who?: string
  readonly hosts?: 'all' | readonly string[]
  readonly job?: string
}

/** All that a fault names. */
export function targetsOf(fault: Fault): readonly Target[] {
  const { host, who, hosts, job } = fault as Naming
  const found: Target[] = []
  if (host !== undefined) found.push({ field: 'host', kind: 'host', name: host })
  if (who !== undefined) found.push({ field: 'who', kind: 'host', name: who })
  if (hosts !== undefined && hosts !== 'all')
    for (const [index, name] of hosts.entries()) found.push({ field: `hosts[${index}]`, kind: 'host', name })
  if (job !== undefined) found.push({ field: 'job', kind: 'job', name: job })
  return found
}
