import { useEffect, useRef, useState } from 'react'
import type { AttemptView, JobView } from '../../../src/model/api.ts'
import { formatDuration } from '../../../src/model/instant.ts'
import { jobCan } from '../../../src/model/job.ts'
import { call } from '../api/client.ts'
import { useLive, useNow } from '../api/live.ts'
import { useJobLog } from '../api/log.ts'
import { Action } from '../parts/action.tsx'
import { JobBadge } from '../parts/badge.tsx'
import { ago, bytes, outcomeText } from '../parts/format.ts'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading, useLocation } from '../parts/router.tsx'
import { WaitingList } from '../parts/waiting.tsx'

export function JobPage({ id }: { readonly id: string }) {
  const now = useNow()
  const live = useLive<JobView>(`/jobs/${id}`)
  return (
    <Loaded live={live} now={now}>
      {(job) => <JobDetails job={job} now={now} reload={live.reload} />}
    </Loaded>
  )
}

function JobDetails({ job, now, reload }: { readonly job: JobView; readonly now: number; readonly reload: () => void }) {
  const { go } = useLocation()
  const last = job.attempts.at(-1)
  const [chosen, setChosen] = useState<number | null>(null)
  const attempt = job.attempts.find((one) => one.number === chosen) ?? last
  const cannot = (action: keyof typeof jobCan, verb: string): string | null =>
    (jobCan[action] as readonly string[]).includes(job.state) ? null : `a job that is ${job.state} cannot be ${verb}`
  return (
    <>
      <PageHeading title={job.name}>
        {job.name} <JobBadge job={job} />
      </PageHeading>
      <p className="quiet">
        <code>{job.id}</code> · queue {job.queue} · {job.engine} engine · by {job.submittedBy} · {ago(job.submittedAt, now)}
      </p>
      {job.outcome === null ? null : <p>{outcomeText(job.outcome)}</p>}
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
      <WaitingList waiting={job.waiting} now={now} />
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

/** Where the time went, one bar per step, widths in proportion. */
function Timeline({ job }: { readonly job: JobView }) {
  const steps = (['queue', 'boot', 'source', 'prepare', 'run', 'collect', 'clean'] as const).flatMap((name) => {
    const ms = job.stepMs[name]
    return ms === undefined ? [] : [{ name, ms }]
  })
  const total = steps.reduce((sum, step) => sum + step.ms, 0)
  if (total <= 0) return null
  return (
    <section aria-label="Timing">
      <ol className="timeline">
        {steps.map((step) => (
          <li key={step.name} className={`step-${step.name}`}>
            <span className="step-name">{step.name}</span>
            <svg aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none">
              <rect width={Math.max(0.5, (100 * step.ms) / total)} height="10" />
            </svg>
            <span className="step-time">{formatDuration(step.ms)}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}

function AttemptDetails({ job, attempt }: { readonly job: JobView; readonly attempt: AttemptView }) {
  const log = useJobLog(job.id, attempt.number, attempt.logComplete)
  const [stick, setStick] = useState(true)
  const box = useRef<HTMLPreElement>(null)
  useEffect(() => {
    if (stick && box.current !== null) box.current.scrollTop = box.current.scrollHeight
  }, [log.text, stick])
  return (
    <>
      <p className="quiet">
        On <Link href={`/hosts/${attempt.hostName}`}>{attempt.hostName}</Link>
        {attempt.isolation === null ? null : `, isolated by ${attempt.isolation}`}
        {attempt.outcome === null ? `, ${attempt.state}` : `, ${outcomeText(attempt.outcome)}`}
      </p>
      {attempt.notes.map((note) => (
        <p key={note} className="note">
          ⚠ {note}
        </p>
      ))}
      <section aria-labelledby="log">
        <h2 id="log">
          Log <span className="quiet">{log.state}</span>
        </h2>
        <label>
          <input type="checkbox" checked={stick} onChange={(event) => setStick(event.target.checked)} /> follow the end
        </label>{' '}
        <a href={`/api/v1/jobs/${job.id}/log?attempt=${attempt.number}`} download={`${job.id}.log`}>
          Download ({bytes(attempt.logBytes)})
        </a>
        {log.cut ? <p className="quiet">Only the end is shown; the download has all of it.</p> : null}
        <pre ref={box} className="log" tabIndex={0} role="log" aria-labelledby="log" aria-live="off">
          {log.text}
        </pre>
      </section>
      {attempt.artifacts.length + attempt.artifactFailures.length === 0 ? null : (
        <section aria-labelledby="artifacts">
          <h2 id="artifacts">Artifacts</h2>
          <ul>
            {attempt.artifacts.map((artifact) => (
              <li key={artifact.path}>
                <a href={`/api/v1/jobs/${job.id}/artifacts/${artifact.path.split('/').map(encodeURIComponent).join('/')}`} download>
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
      )}
    </>
  )
}
