import { isScalar, parseDocument } from 'yaml'
import { CideryError } from '../../model/errors.ts'
import type { SimulatedHosts } from '../../model/simulation.ts'
import { countOf, namedValues } from './named-values.ts'

/** One change to a scenario: to the number of its hosts, or to a field of its spec. */
export type Change =
  | { readonly kind: 'hosts'; readonly pool: string | null; readonly by: '+' | '-' | '='; readonly count: number }
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly value: string }

const form = 'hosts=+2, hosts.mac=22, or a field of the spec: pools.mac.engines.qemu.warm.app=1'

/**
 * Reads what `--what-if` says: changes with commas between.
 *
 * @example readChanges('hosts.mac=+2,limits.holdAfter=5m')
 */
export function readChanges(text: string): readonly Change[] {
  return text.split(',').map((word) => {
    const [, path, value] = /^\s*([^=\s]+)=(.+?)\s*$/.exec(word) ?? []
    if (path === undefined || value === undefined)
      throw new CideryError('INVALID_INPUT', `--what-if '${word}' is no change`, { hint: form })
    const [first = '', ...rest] = path.split('.')
    return first === 'hosts' ? hostChange(word, rest.join('.'), value) : { kind: 'field', path: [first, ...rest], value }
  })
}

function hostChange(word: string, pool: string, value: string): Change {
  const [, by = '', digits = ''] = /^([+-]?)(\d+)$/.exec(value) ?? []
  const count = countOf(digits)
  if (count === undefined) throw new CideryError('INVALID_INPUT', `--what-if '${word}' is no number of hosts`, { hint: form })
  return { kind: 'hosts', pool: pool === '' ? null : pool, by: by === '+' || by === '-' ? by : '=', count }
}

/** A spec with its fields changed, as text; what it then says is read and checked like any spec. */
export function changeSpec(source: string, changes: readonly Change[]): string {
  const document = parseDocument(source)
  for (const change of changes) {
    if (change.kind !== 'field') continue
    try {
      document.setIn(change.path, parseDocument(change.value).toJS())
    } catch (cause) {
      throw new CideryError(
        'INVALID_INPUT',
        `--what-if: ${change.path.join('.')} cannot be set: ${blockerOf(document, change.path)} is no group of fields`,
        {
          hint: form,
          cause,
        },
      )
    }
  }
  return document.toString()
}

/** The first part of a path that holds a plain value, where a group of fields would be needed. */
function blockerOf(document: ReturnType<typeof parseDocument>, path: readonly string[]): string {
  const depth = path.findIndex((_, index) => isScalar(document.getIn(path.slice(0, index + 1), true)))
  return path.slice(0, depth + 1).join('.')
}

/** `20`, or `mac=20,linux=4`: the hosts of a scenario after its changes. */
export function changeHosts(hosts: readonly SimulatedHosts[], changes: readonly Change[], pools: readonly string[]): string {
  const counts = new Map(pools.map((pool) => [pool, hosts.find((group) => group.pool === pool)?.count ?? 0]))
  for (const change of changes) {
    if (change.kind !== 'hosts') continue
    const text = change.pool === null ? String(change.count) : `${change.pool}=${change.count}`
    for (const [pool, count] of namedValues(text, { flag: '--what-if hosts', names: pools, read: countOf, accepted: form })) {
      const before = counts.get(pool) ?? 0
      counts.set(pool, Math.max(0, change.by === '=' ? count : change.by === '+' ? before + count : before - count))
    }
  }
  return [...counts].map(([pool, count]) => `${pool}=${count}`).join(',')
}
