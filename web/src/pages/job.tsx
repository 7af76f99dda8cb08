import { useEffect, useRef, useState } from 'react'
import type { AttemptView, JobView } from '../../../src/model/api.ts'
import { jobCan } from '../../../src/model/job.ts'
import { call } from '../api/client.ts'
import { useLive } from '../api/live.ts'
import { LogViewer } from '../log/viewer.tsx'
import { Action } from '../parts/action.tsx'
import { announce } from '../parts/announcer.tsx'
import { JobBadge } from '../parts/badge.tsx'
import { bytes, outcomeText } from '../parts/format.ts'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading, useLocation } from '../parts/router.tsx'
import { useSession } from '../parts/session.tsx'
import { TimeAgo } from '../parts/time-ago.tsx'
import { WaitingList } from '../parts/waiting.tsx'
import { Timeline } from '../timeline/timeline.tsx'

export function JobPage({ id }: { readonly id: string }) {
  const live = useLive<JobView>(`/jobs/${id}`, { about: ({ subject }) => subject === `job/${id}` })
  return <Loaded live={live}>{(job) => <JobDetails job={job} reload={live.reload} />}</Loaded>
}

function JobDetails({ job, reload }: { readonly job: JobView; readonly reload: () => void }) {
  const last = job.attempts.at(-1)
  const [chosen, setChosen] = useState<number | null>(null)
  const attempt = job.attempts.find((one) => one.number === chosen) ?? last
  useAnnouncedEnd(job)
  return (
    <>
      <div className="title">
        <PageHeading title={job.name}>{job.name}</PageHeading>
        <JobBadge job={job} />
        {job.outcome === null || job.outcome.kind === 'exited' ? null : <span className="quiet">{outcomeText(job.outcome)}</span>}
      </div>
      <p className="quiet facts-line">
        <code>{job.id}</code> · queue <Link href={`/jobs?queue=${job.queue}`}>{job.queue}</Link> · {job.engine} engine
        {job.image === null ? '' : ` · image ${job.image}`} · by {job.submittedBy} · <TimeAgo at={job.submittedAt} />
      </p>
      <JobActions job={job} reload={reload} />
      <WaitingList waiting={job.waiting} />
      <Timeline job={job} />
      {job.attempts.length > 1 ? (
        <nav aria-label="Attempts" className="filters">
          {job.attempts.map((one) => (
            <button key={one.id} type="button" aria-pressed={one === attempt} onClick={() => setChosen(one.number)}>
              Attempt {one.number} on {one.hostName}
            </button>
          ))}
        </nav>
      ) : null}
      {attempt === undefined ? null : <AttemptDetails job={job} attempt={attempt} key={attempt.id} />}
    </>
  )
}

function JobActions({ job, reload }: { readonly job: JobView; readonly reload: () => void }) {
  const { go } = useLocation()
  const { scopes } = useSession()
  const cannot = (action: keyof typeof jobCan, verb: string): string | null => {
    if (!scopes.includes('jobs')) return 'your role may not change jobs'
    return (jobCan[action] as readonly string[]).includes(job.state) ? null : `a job that is ${job.state} cannot be ${verb}`
  }
  return (
    <div className="actions">
      <Action
        label="Cancel"
        disabledReason={job.cancelRequested && job.state !== 'ended' ? 'it is being cancelled' : cannot('cancel', 'cancelled')}
        run={async () => {
          await call('POST', `/jobs/${job.id}/cancel`)
          reload()
        }}
      />
      <Action
        label="Run again"
        disabledReason={cannot('rerun', 'run again yet')}
        run={async () => {
          const fresh = await call<JobView>('POST', `/jobs/${job.id}/rerun`)
          go(`/jobs/${fresh.id}`)
        }}
      />
    </div>
  )
}

/** Says aloud how a job ended that people were looking at. */
function useAnnouncedEnd(job: JobView): void {
  const before = useRef(job.state)
  useEffect(() => {
    if (before.current !== job.state && job.outcome !== null) announce(`The job ended: ${outcomeText(job.outcome)}`)
    before.current = job.state
  }, [job.state, job.outcome])
}

function AttemptDetails({ job, attempt }: { readonly job: JobView; readonly attempt: AttemptView }) {
  return (
    <>
      <p className="quiet">
        On <Link href={`/hosts/${attempt.hostName}`}>{attempt.hostName}</Link>
        {attempt.isolation === null ? null : `, isolated by ${attempt.isolation}`}
        {attempt.outcome === null ? `, ${attempt.state}` : `, ${outcomeText(attempt.outcome)}`}
      </p>
      {attempt.notes.map((note) => (
        <p key={note} className="note">
          ! {note}
        </p>
      ))}
      <LogViewer jobId={job.id} attempt={attempt} />
      <Artifacts job={job} attempt={attempt} />
    </>
  )
}

function Artifacts({ job, attempt }: { readonly job: JobView; readonly attempt: AttemptView }) {
  if (attempt.artifacts.length + attempt.artifactFailures.length === 0) return null
  return (
    <section aria-labelledby="artifacts" className="panel">
      <h2 id="artifacts">Artifacts</h2>
      <ul className="plain-list">
        {attempt.artifacts.map((artifact) => (
          <li key={artifact.path}>
            <a href={`/api/v1/jobs/${job.id}/artifacts/${inAddress(artifact.path)}?attempt=${attempt.number}`} download>
              {artifact.path}
            </a>{' '}
            <span className="quiet">{bytes(artifact.sizeBytes)}</span>
          </li>
        ))}
        {attempt.artifactFailures.map((failure) => (
          <li key={`${failure.pattern} ${failure.path ?? ''}`} className="problem">
            ✕ {failure.path ?? failure.pattern}: {failure.reason}
          </li>
        ))}
      </ul>
    </section>
  )
}

/** A path of a file as a part of an address. */
function inAddress(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
