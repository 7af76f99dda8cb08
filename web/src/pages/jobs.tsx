import type { JobView } from '../../../src/model/api.ts'
import { jobStates } from '../../../src/model/job.ts'
import { useLive, useNow } from '../api/live.ts'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading, useLocation } from '../parts/router.tsx'
import { JobTable } from './fleet.tsx'

/** All jobs, newest first; filter and page are in the URL. */
export function JobsPage() {
  const now = useNow()
  const { search } = useLocation()
  const state = search.get('state')
  const query = new URLSearchParams({ limit: '100' })
  for (const name of ['state', 'queue', 'cursor']) {
    const value = search.get(name)
    if (value !== null) query.set(name, value)
  }
  const jobs = useLive<{ items: readonly JobView[]; nextCursor: string | null }>(`/jobs?${query.toString()}`)
  const next = jobs.data?.nextCursor ?? null
  return (
    <>
      <PageHeading title="Jobs">Jobs</PageHeading>
      <nav aria-label="Job states" className="filters">
        <Link href="/jobs" aria-current={state === null ? 'page' : undefined}>
          all
        </Link>
        {jobStates.map((name) => (
          <Link key={name} href={`/jobs?state=${name}`} aria-current={state === name ? 'page' : undefined}>
            {name}
          </Link>
        ))}
      </nav>
      <Loaded live={jobs} now={now}>
        {({ items }) => <JobTable jobs={items} now={now} />}
      </Loaded>
      {next === null ? null : (
        <p>
          <Link href={`/jobs?${new URLSearchParams({ ...(state === null ? {} : { state }), cursor: next }).toString()}`}>Older jobs</Link>
        </p>
      )}
    </>
  )
}
