import { useDeferredValue, useEffect, useMemo, useRef } from 'react'
import type { QueueView } from '../../../src/model/api.ts'
import { useFleet, type FleetState } from '../api/fleet.ts'
import { useLive } from '../api/live.ts'
import { DenseMap } from '../fleet/dense-map.tsx'
import { HostTable } from '../fleet/host-table.tsx'
import { filterOf, lookOfHost, looks, summarise, type FleetFilter, type FleetSummary } from '../fleet/looks.ts'
import { Tiles } from '../fleet/tiles.tsx'
import { Trouble } from '../fleet/trouble.tsx'
import { announce } from '../parts/announcer.tsx'
import { Capacity } from '../parts/capacity.tsx'
import { Failure, Stale } from '../parts/notice.tsx'
import { Link, PageHeading, useLocation } from '../parts/router.tsx'

/** Above this many hosts a tile each is too much to look at. */
const tilesAtMost = 50

/** The whole fleet at a glance; filters and view are in the URL. */
export function FleetPage() {
  const fleet = useFleet()
  const { search, replace } = useLocation()
  const key = search.toString()
  const filter = useMemo(() => filterOf(new URLSearchParams(key)), [key])
  const summary = useMemo(() => summarise(fleet.hosts, filter), [fleet.hosts, filter])
  const isTable = search.get('view') === 'table'
  const hrefWith = (changes: Readonly<Record<string, string | null>>): string => {
    const next = new URLSearchParams(search)
    for (const [name, value] of Object.entries({ page: null, ...changes })) {
      if (value === null || value === '') next.delete(name)
      else next.set(name, value)
    }
    return next.size === 0 ? '/' : `/?${next.toString()}`
  }
  useAnnouncedTrouble(fleet, summary)
  return (
    <>
      <PageHeading title="Fleet">Fleet</PageHeading>
      <Figures fleet={fleet} summary={summary} />
      <div className="filters">
        <nav aria-label="Hosts by state" className="legend">
          {looks.map((look) => (
            <LookChip key={look} look={look} count={summary.counts[look]} filter={filter} hrefWith={hrefWith} />
          ))}
        </nav>
        <label className="field">
          <span className="unseen">Filter by name</span>
          <input
            type="search"
            placeholder="Filter by name"
            data-key="/"
            defaultValue={filter.text}
            onChange={(event) => replace(hrefWith({ q: event.target.value }))}
          />
        </label>
        <label className="field">
          Pool{' '}
          <select value={filter.pool ?? ''} onChange={(event) => replace(hrefWith({ pool: event.target.value }))}>
            <option value="">all</option>
            {summary.pools.map((pool) => (
              <option key={pool}>{pool}</option>
            ))}
          </select>
        </label>
        <nav aria-label="View" className="switch">
          <Link href={hrefWith({ view: null })} aria-current={isTable ? undefined : 'true'}>
            Map
          </Link>
          <Link href={hrefWith({ view: 'table' })} aria-current={isTable ? 'true' : undefined}>
            Table
          </Link>
        </nav>
      </div>
      {fleet.error === null ? null : fleet.hosts.length === 0 ? (
        <Failure error={fleet.error} />
      ) : (
        <Stale error={fleet.error} at={fleet.at} />
      )}
      {filter.look === null ? <Trouble troubled={summary.troubled} hrefOf={(look) => hrefWith({ state: look })} /> : null}
      <section aria-labelledby="hosts" className="panel">
        <h2 id="hosts" className="unseen">
          Hosts
        </h2>
        <Hosts fleet={fleet} summary={summary}>
          {isTable ? (
            <HostTable groups={summary.groups} page={Number(search.get('page') ?? 1)} hrefOf={(page) => hrefWith({ page: String(page) })} />
          ) : fleet.hosts.length > tilesAtMost ? (
            <DenseMap groups={summary.groups} />
          ) : (
            <Tiles groups={summary.groups} />
          )}
        </Hosts>
      </section>
    </>
  )
}

interface HostsProps {
  readonly fleet: FleetState
  readonly summary: FleetSummary
  readonly children: React.ReactNode
}

function Hosts({ fleet, summary, children }: HostsProps) {
  if (fleet.at === null) return <p className="quiet">Loading…</p>
  if (fleet.complete && fleet.hosts.length === 0)
    return (
      <p>
        No host yet. <code>cidery host add</code> prints the line that joins one.
      </p>
    )
  return summary.shown === 0 ? <p className="quiet">No host is like that.</p> : children
}

interface LookChipProps {
  readonly look: (typeof looks)[number]
  readonly count: number
  readonly filter: FleetFilter
  readonly hrefWith: (changes: Readonly<Record<string, string | null>>) => string
}

/** The map's legend, its counts and its filter in one. */
function LookChip({ look, count, filter, hrefWith }: LookChipProps) {
  const isOn = filter.look === look
  if (count === 0 && !isOn) return null
  const { glyph, tone, word } = lookOfHost[look]
  return (
    <Link href={hrefWith({ state: isOn ? null : look })} className={`chip ${tone}`} aria-current={isOn ? 'true' : undefined}>
      <span aria-hidden="true">{glyph}</span> {word} <b>{count.toLocaleString('en-US')}</b>
    </Link>
  )
}

function Figures({ fleet, summary }: { readonly fleet: FleetState; readonly summary: FleetSummary }) {
  const queues = useLive<{ readonly items: readonly QueueView[] }>('/queues', {
    about: ({ kind }) => kind.startsWith('job.'),
    gatherMs: 1000,
  })
  const items = queues.data?.items ?? []
  const sum = (pick: (queue: QueueView) => number): string => items.reduce((all, queue) => all + pick(queue), 0).toLocaleString('en-US')
  const reasons = items.reduce((all, queue) => all + queue.waiting.length, 0)
  return (
    <dl className="figures">
      <div>
        <dt>Hosts</dt>
        <dd>
          {fleet.hosts.length.toLocaleString('en-US')}
          {fleet.complete ? '' : '…'}
        </dd>
      </div>
      <div>
        <dt>Slots</dt>
        <dd>
          <Capacity used={summary.used} total={summary.total} unit="used" />
        </dd>
      </div>
      <div>
        <dt>Running jobs</dt>
        <dd>{sum(({ running }) => running)}</dd>
      </div>
      <div>
        <dt>Queued jobs</dt>
        <dd>
          {sum(({ queued }) => queued)}
          {reasons === 0 ? null : (
            <Link href="/queues" className="more">
              {reasons === 1 ? '1 reason' : `${reasons} reasons`}
            </Link>
          )}
        </dd>
      </div>
    </dl>
  )
}

/** Says aloud when hosts are lost or come back. */
function useAnnouncedTrouble(fleet: FleetState, summary: FleetSummary): void {
  const lost = useDeferredValue(summary.counts.lost)
  const before = useRef<number | null>(null)
  useEffect(() => {
    if (!fleet.complete) return
    if (before.current !== null && before.current !== lost) announce(`${lost} ${lost === 1 ? 'host is' : 'hosts are'} lost`)
    before.current = lost
  }, [fleet.complete, lost])
}
