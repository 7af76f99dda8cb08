import type { JobView } from '../../../src/model/api.ts'
import { formatDuration } from '../../../src/model/instant.ts'
import { useNow } from '../api/clock.ts'
import { JobBadge } from './badge.tsx'
import { Link } from './router.tsx'
import { TimeAgo } from './time-ago.tsx'

export function JobTable({ jobs, label = 'Table of jobs' }: { readonly jobs: readonly JobView[]; readonly label?: string }) {
  return (
    <section className="scroll" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Queue</th>
            <th scope="col">Host</th>
            <th scope="col">Submitted</th>
            <th scope="col">Took</th>
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
              <td>
                <LastHost job={job} />
              </td>
              <td>
                <TimeAgo at={job.submittedAt} />
              </td>
              <td>
                <Took job={job} />
              </td>
              <td className="quiet">{job.submittedBy}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function LastHost({ job }: { readonly job: JobView }) {
  const attempt = job.attempts.at(-1)
  if (attempt === undefined) return <span className="quiet">none yet</span>
  return (
    <>
      <Link href={`/hosts/${attempt.hostName}`}>{attempt.hostName}</Link>
      {job.attempts.length > 1 ? <span className="quiet"> · attempt {attempt.number}</span> : null}
    </>
  )
}

function Took({ job }: { readonly job: JobView }) {
  const now = useNow()
  const began = job.attempts.at(-1)?.times.running
  if (began === undefined) return <span className="quiet">—</span>
  return <>{formatDuration(Math.max(0, (job.endedAt ?? now) - began))}</>
}
