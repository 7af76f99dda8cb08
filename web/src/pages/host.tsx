import { useEffect, useRef } from 'react'
import type { HostView, JobView } from '../../../src/model/api.ts'
import { hostOf } from '../api/fleet.ts'
import { useLive } from '../api/live.ts'
import { HostActions } from '../host/actions.tsx'
import { Badge, HostBadge } from '../parts/badge.tsx'
import { Capacity } from '../parts/capacity.tsx'
import { bytes } from '../parts/format.ts'
import { JobTable } from '../parts/job-table.tsx'
import { Loaded } from '../parts/notice.tsx'
import { Operations } from '../parts/operations.tsx'
import { Link, PageHeading } from '../parts/router.tsx'
import { TimeAgo } from '../parts/time-ago.tsx'
import { WaitingList } from '../parts/waiting.tsx'

const mib = 1024 ** 2

export function HostPage({ name }: { readonly name: string }) {
  const id = useRef<string | null>(null)
  const live = useLive<HostView>(`/hosts/${name}`, {
    about: (hint) => {
      const about = hostOf(hint)
      return about === name || about === id.current || (about === null && hint.kind.startsWith('operation.'))
    },
  })
  const known = live.data?.id ?? null
  useEffect(() => {
    id.current = known
  }, [known])
  return <Loaded live={live}>{(host) => <HostDetails host={host} reload={live.reload} />}</Loaded>
}

function HostDetails({ host, reload }: { readonly host: HostView; readonly reload: () => void }) {
  return (
    <>
      <div className="title">
        <PageHeading title={host.name}>{host.name}</PageHeading>
        <HostBadge host={host} />
        <span className="quiet">{reasonText(host)}</span>
      </div>
      <p className="quiet facts-line">
        <code>{host.id}</code> · pool <Link href={`/?pool=${host.pool}`}>{host.pool}</Link> · seen <TimeAgo at={host.lastSeenAt} />
        {Object.entries(host.labels).map(([key, value]) => (
          <span key={key} className="label">
            {key}={value}
          </span>
        ))}
      </p>
      <HostActions host={host} reload={reload} />
      <WaitingList waiting={host.waiting} />
      <div className="columns">
        <div>
          <Readiness host={host} />
          <Operations hostId={host.id} />
        </div>
        <Room host={host} />
        {host.facts === null ? null : <Facts facts={host.facts} />}
      </div>
      <RecentJobs host={host} />
    </>
  )
}

function reasonText({ schedulable, failureStreak, waiting }: HostView): string {
  switch (schedulable.kind) {
    case 'open':
      return failureStreak === 0 ? '' : `${failureStreak} failed ${failureStreak === 1 ? 'attempt' : 'attempts'} in a row`
    case 'quarantined':
      // Said in full below, as far as it keeps jobs away.
      return waiting.length > 0 ? '' : `${schedulable.reason}. Cure: ${schedulable.cure}`
    default:
      return schedulable.reason === '' ? `by ${schedulable.by}` : `by ${schedulable.by}: ${schedulable.reason}`
  }
}

const verdicts = {
  ready: { tone: 'good', glyph: '✓', word: 'ready' },
  notReady: { tone: 'warn', glyph: '≠', word: 'not ready' },
  unknown: { tone: 'warn', glyph: '?', word: 'unknown' },
} as const

/** What was true of a host before it went is no promise. */
function verdictOf(host: HostView, state: keyof typeof verdicts) {
  const verdict = verdicts[state]
  return host.state === 'lost' ? ({ tone: 'idle', glyph: '?', word: `was ${verdict.word}` } as const) : verdict
}

/** Whether it can start a job now, and how old what proves it is. */
function Readiness({ host }: { readonly host: HostView }) {
  return (
    <section aria-labelledby="readiness" className="panel">
      <h2 id="readiness">Readiness</h2>
      {host.readiness.length === 0 ? <p className="quiet">Nothing is known yet.</p> : null}
      <ul className="plain-list">
        {host.readiness.map(({ engine, image, state, reason }) => {
          const proofs = host.facts?.readiness.find((one) => one.engine === engine && one.image === image)
          return (
            <li key={`${engine} ${image ?? ''}`}>
              <Badge {...verdictOf(host, state)} /> <b>{image === null ? engine : `${engine} · ${image}`}</b>
              {reason === '' ? null : <span className="note"> {reason}</span>}
              <div className="quiet">
                <ProofText name="check" proof={proofs?.check ?? null} /> · <ProofText name="boot proof" proof={proofs?.boot ?? null} />
              </div>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

type Proof = NonNullable<HostView['facts']>['readiness'][number]['check']

function ProofText({ name, proof }: { readonly name: string; readonly proof: Proof }) {
  if (proof === null) return <>{name} never</>
  return (
    <>
      {name} {proof.ok ? '✓' : '✕'} <TimeAgo at={proof.at} />
    </>
  )
}

/** Slots, and what is in them. */
function Room({ host }: { readonly host: HostView }) {
  return (
    <section aria-labelledby="sandboxes" className="panel">
      <h2 id="sandboxes">Sandboxes</h2>
      <ul className="plain-list">
        {(host.facts?.engines ?? []).map((engine) => (
          <li key={engine.name}>
            <b>{engine.name}</b> <span className="quiet">{engine.ok ? `✓ works, ${engine.isolation} isolation` : '✕ does not work'}</span>{' '}
            <Capacity used={host.slots[engine.name]?.used ?? 0} total={host.slots[engine.name]?.total ?? 0} unit="slots" />
            {engine.problems.map((problem) => (
              <div key={problem} className="note">
                ! {problem}
              </div>
            ))}
          </li>
        ))}
        {host.runningJobs.map((job) => (
          <li key={job.attemptId}>
            ◑ <Link href={`/jobs/${job.jobId}`}>{job.jobId}</Link>{' '}
            <span className="quiet">
              queue {job.queue}, <TimeAgo at={job.since} />
            </span>
          </li>
        ))}
      </ul>
      {host.runningJobs.length === 0 ? <p className="quiet">No job runs here.</p> : null}
    </section>
  )
}

function Facts({ facts }: { readonly facts: NonNullable<HostView['facts']> }) {
  const rows: readonly (readonly [string, string])[] = [
    ['System', `${facts.os} ${facts.osVersion} (${facts.arch})`],
    ['Agent', facts.agentVersion],
    ['CPU', `${facts.capacity.cpu}, load ${facts.load1.toFixed(2)}`],
    ['Memory', `${bytes(facts.free.memoryMiB * mib)} free of ${bytes(facts.capacity.memoryMiB * mib)}`],
    ['Disk', `${bytes(facts.free.diskMiB * mib)} free, ${Math.round(facts.diskUsed * 100)} % used`],
    ['Clock', facts.clockSkewMs === null ? 'not measured' : `${Math.round(facts.clockSkewMs)} ms off the controller`],
    ['Images', facts.images.length === 0 ? 'none' : facts.images.join(', ')],
  ]
  return (
    <section aria-labelledby="facts" className="panel">
      <div className="panel-head">
        <h2 id="facts">Facts</h2>
        <span className="quiet">
          <TimeAgo at={facts.at} />
        </span>
      </div>
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {facts.problems.map((problem) => (
        <p key={problem} className="problem">
          ! {problem}
        </p>
      ))}
    </section>
  )
}

function RecentJobs({ host }: { readonly host: HostView }) {
  const jobs = useLive<{ readonly items: readonly JobView[] }>(`/jobs?limit=10&host=${host.id}`, {
    about: ({ kind }) => kind.startsWith('job.'),
    gatherMs: 1000,
  })
  return (
    <section aria-labelledby="recent" className="panel">
      <div className="panel-head">
        <h2 id="recent">Recent jobs</h2>
        <span className="panel-links">
          <Link href={`/jobs?host=${host.name}`}>all jobs of this host</Link>
        </span>
      </div>
      <Loaded live={jobs}>
        {({ items }) =>
          items.length === 0 ? <p className="quiet">None yet.</p> : <JobTable jobs={items} label="Jobs that ran on this host" />
        }
      </Loaded>
    </section>
  )
}
