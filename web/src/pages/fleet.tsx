import type { HostView, JobView, QueueView } from '../../../src/model/api.ts'
import { useLive, useNow } from '../api/live.ts'
import { HostBadge, JobBadge } from '../parts/badge.tsx'
import { ago } from '../parts/format.ts'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading } from '../parts/router.tsx'
import { WaitingList } from '../parts/waiting.tsx'

interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export function FleetPage() {
  const now = useNow()
  const hosts = useLive<Page<HostView>>('/hosts?limit=500')
  const queues = useLive<Page<QueueView>>('/queues')
  const jobs = useLive<Page<JobView>>('/jobs?limit=20')
  return (
    <>
      <PageHeading title="Fleet">Fleet</PageHeading>
      <section aria-labelledby="hosts">
        <h2 id="hosts">Hosts</h2>
        <Loaded live={hosts} now={now}>
          {({ items }) =>
            items.length === 0 ? (
              <p>
                No host yet. <code>cidery host add</code> prints the line that joins one.
              </p>
            ) : (
              <HostTable hosts={items} now={now} />
            )
          }
        </Loaded>
      </section>
      <section aria-labelledby="queues">
        <h2 id="queues">Queues</h2>
        <Loaded live={queues} now={now}>
          {({ items }) => (
            <div className="cards">
              {items.map((queue) => (
                <QueueCard key={queue.name} queue={queue} now={now} />
              ))}
            </div>
          )}
        </Loaded>
      </section>
      <section aria-labelledby="jobs">
        <h2 id="jobs">Newest jobs</h2>
        <Loaded live={jobs} now={now}>
          {({ items }) => <JobTable jobs={items} now={now} />}
        </Loaded>
        <p>
          <Link href="/jobs">All jobs</Link>
        </p>
      </section>
    </>
  )
}

function HostTable({ hosts, now }: { readonly hosts: readonly HostView[]; readonly now: number }) {
  return (
    <section className="scroll" tabIndex={0} aria-label="Table of hosts">
      <table>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">State</th>
            <th scope="col">Pool</th>
            <th scope="col">Jobs</th>
            <th scope="col">Slots</th>
            <th scope="col">Seen</th>
          </tr>
        </thead>
        <tbody>
          {hosts.map((host) => (
            <tr key={host.id}>
              <th scope="row">
                <Link href={`/hosts/${host.name}`}>{host.name}</Link>
              </th>
              <td>
                <HostBadge host={host} />
              </td>
              <td>{host.pool}</td>
              <td>{host.runningJobs.length}</td>
              <td>
                {Object.entries(host.slots)
                  .map(([engine, slot]) => `${engine} ${slot.used}/${slot.total}`)
                  .join(', ')}
              </td>
              <td>{ago(host.lastSeenAt, now)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function QueueCard({ queue, now }: { readonly queue: QueueView; readonly now: number }) {
  return (
    <article className="card">
      <h3>{queue.name}</h3>
      <p>
        <b>{queue.queued}</b> queued · <b>{queue.running}</b> running
        {queue.oldestQueuedAt === null ? null : <span className="quiet"> · oldest {ago(queue.oldestQueuedAt, now)}</span>}
      </p>
      <WaitingList waiting={queue.waiting} now={now} />
    </article>
  )
}

export function JobTable({ jobs, now }: { readonly jobs: readonly JobView[]; readonly now: number }) {
  if (jobs.length === 0)
    return (
      <p>
        No job yet. Try <code>cidery run -- uname -a</code>
      </p>
    )
  return (
    <section className="scroll" tabIndex={0} aria-label="Table of jobs">
      <table>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Queue</th>
            <th scope="col">Host</th>
            <th scope="col">Submitted</th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.id}>
              <th scope="row">
                <Link href={`/jobs/${job.id}`}>{job.name}</Link>
              </th>
              <td>
                <JobBadge job={job} />
              </td>
              <td>{job.queue}</td>
              <td>{job.attempts.at(-1)?.hostName ?? '—'}</td>
              <td>{ago(job.submittedAt, now)}</td>
              <td>{job.submittedBy}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
