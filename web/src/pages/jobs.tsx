import type { JobView, QueueView } from '../../../src/model/api.ts'
import { jobStates } from '../../../src/model/job.ts'
import { useLive } from '../api/live.ts'
import { JobTable } from '../parts/job-table.tsx'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading, useLocation } from '../parts/router.tsx'

const filters = ['state', 'queue', 'host', 'cursor'] as const

/** All jobs, newest first; filters and page are in the URL. */
export function JobsPage() {
  const { search, replace } = useLocation()
  const query = new URLSearchParams({ limit: '100' })
  for (const name of filters) {
    const value = search.get(name)
    if (value !== null && value !== '') query.set(name, value)
  }
  const jobs = useLive<{ items: readonly JobView[]; nextCursor: string | null }>(`/jobs?${query.toString()}`, {
    about: ({ kind }) => kind.startsWith('job.') || kind.startsWith('attempt.'),
    gatherMs: 1000,
  })
  const queues = useLive<{ items: readonly QueueView[] }>('/queues', { about: () => false })
  const next = jobs.data?.nextCursor ?? null
  const hrefWith = (changes: Partial<Record<(typeof filters)[number], string>>): string => {
    const wanted = new URLSearchParams()
    for (const name of filters) {
      const value = changes[name] ?? (name === 'cursor' ? '' : (search.get(name) ?? ''))
      if (value !== '') wanted.set(name, value)
    }
    return wanted.size === 0 ? '/jobs' : `/jobs?${wanted.toString()}`
  }
  const state = search.get('state') ?? ''
  return (
    <>
      <PageHeading title="Jobs">Jobs</PageHeading>
      <div className="filters">
        <nav aria-label="Job states" className="switch">
          {['', ...jobStates].map((name) => (
            <Link key={name} href={hrefWith({ state: name })} aria-current={state === name ? 'true' : undefined}>
              {name === '' ? 'all' : name === 'assigned' ? 'starting' : name}
            </Link>
          ))}
        </nav>
        <label className="field">
          Queue{' '}
          <select value={search.get('queue') ?? ''} data-key="/" onChange={(event) => replace(hrefWith({ queue: event.target.value }))}>
            <option value="">all</option>
            {queues.data?.items.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {search.get('host') === null ? null : (
          <span>
            on <b>{search.get('host')}</b> <Link href={hrefWith({ host: '' })}>any host</Link>
          </span>
        )}
      </div>
      <Loaded live={jobs}>
        {({ items }) =>
          items.length > 0 ? (
            <JobTable jobs={items} />
          ) : query.size > 1 ? (
            <p className="quiet">No job is like that.</p>
          ) : (
            <p>
              No job yet. Try <code>cidery run -- uname -a</code>
            </p>
          )
        }
      </Loaded>
      <nav aria-label="Pages of jobs" className="pages">
        {search.get('cursor') === null ? null : <Link href={hrefWith({})}>Newest jobs</Link>}
        {next === null ? null : <Link href={hrefWith({ cursor: next })}>Older jobs</Link>}
      </nav>
    </>
  )
}
