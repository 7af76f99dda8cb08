import type { FleetHost } from '../../../src/model/api.ts'
import type { Tone } from '../parts/badge.tsx'

/** What a host looks like from afar, the worst first. One host has one look. */
export const looks = ['lost', 'quarantined', 'notReady', 'unknown', 'draining', 'cordoned', 'enrolled', 'full', 'busy', 'free'] as const
export type Look = (typeof looks)[number]

/** Each by glyph, word and colour: never by colour alone. */
export const lookOfHost = {
  lost: { tone: 'bad', glyph: '✕', word: 'lost' },
  quarantined: { tone: 'bad', glyph: '!', word: 'quarantined' },
  notReady: { tone: 'warn', glyph: '≠', word: 'not ready' },
  unknown: { tone: 'warn', glyph: '?', word: 'unknown' },
  draining: { tone: 'hold', glyph: '↓', word: 'draining' },
  cordoned: { tone: 'hold', glyph: '⊘', word: 'cordoned' },
  enrolled: { tone: 'idle', glyph: '…', word: 'enrolled' },
  full: { tone: 'busy', glyph: '●', word: 'full' },
  busy: { tone: 'busy', glyph: '◐', word: 'busy' },
  free: { tone: 'good', glyph: '○', word: 'free' },
} as const satisfies Record<Look, { readonly tone: Tone; readonly glyph: string; readonly word: string }>

/** Looks that somebody has to do something about. */
export const troubles = ['lost', 'quarantined', 'notReady'] as const satisfies readonly Look[]
type TroubleLook = (typeof troubles)[number]

export function isTrouble(look: Look): look is TroubleLook {
  return troubles.some((one) => one === look)
}

export function lookOf(host: FleetHost): Look {
  if (host.state === 'lost' || host.state === 'enrolled') return host.state
  if (host.schedulable !== 'open') return host.schedulable
  if (host.readiness !== 'ready') return host.readiness
  if (host.used === 0) return 'free'
  return host.used < host.total ? 'busy' : 'full'
}

/** A host in one line, for those who do not see its colour. */
export function hostText(host: FleetHost): string {
  const { glyph, word } = lookOfHost[lookOf(host)]
  const operation = host.operation === null ? '' : `, ${host.operation} under way`
  return `${host.name}, pool ${host.pool}, ${glyph} ${word}, ${host.used} of ${host.total} slots used${operation}`
}

export interface FleetFilter {
  readonly pool: string | null
  readonly look: Look | null
  /** A part of the name. */
  readonly text: string
}

export function filterOf(search: URLSearchParams): FleetFilter {
  const state = search.get('state')
  return { pool: search.get('pool'), look: looks.find((look) => look === state) ?? null, text: search.get('q') ?? '' }
}

export interface Group {
  readonly pool: string
  readonly hosts: readonly FleetHost[]
}

export interface FleetSummary {
  /** By pool, in order of names; hosts that the filter lets through. */
  readonly groups: readonly Group[]
  readonly shown: number
  /** Of all hosts that pool and text let through, so that the counts of other looks stay visible. */
  readonly counts: Readonly<Record<Look, number>>
  /** Hosts in trouble that pool and text let through. */
  readonly troubled: Readonly<Record<TroubleLook, readonly FleetHost[]>>
  readonly pools: readonly string[]
  readonly used: number
  readonly total: number
}

/** One walk over the fleet: 10,000 hosts take about 3 ms. */
export function summarise(hosts: readonly FleetHost[], filter: FleetFilter): FleetSummary {
  const counts = Object.fromEntries(looks.map((look) => [look, 0])) as Record<Look, number>
  const troubled = { lost: [] as FleetHost[], quarantined: [] as FleetHost[], notReady: [] as FleetHost[] }
  const byPool = new Map<string, FleetHost[]>()
  const pools = new Set<string>()
  let shown = 0
  let used = 0
  let total = 0
  for (const host of hosts) {
    pools.add(host.pool)
    used += host.used
    total += host.total
    if (filter.pool !== null && host.pool !== filter.pool) continue
    if (filter.text !== '' && !host.name.includes(filter.text)) continue
    const look = lookOf(host)
    counts[look] += 1
    if (isTrouble(look)) troubled[look].push(host)
    if (filter.look !== null && look !== filter.look) continue
    shown += 1
    const group = byPool.get(host.pool)
    if (group === undefined) byPool.set(host.pool, [host])
    else group.push(host)
  }
  const groups = [...byPool].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([pool, members]) => ({ pool, hosts: members }))
  return { groups, shown, counts, troubled, pools: [...pools].toSorted(), used, total }
}
