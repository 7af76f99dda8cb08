import type { HostView } from '../../../src/model/api.ts'
import { hostCan } from '../../../src/model/host.ts'
import { call } from '../api/client.ts'
import { useLive, useNow } from '../api/live.ts'
import { Action } from '../parts/action.tsx'
import { HostBadge } from '../parts/badge.tsx'
import { ago, bytes } from '../parts/format.ts'
import { Loaded } from '../parts/notice.tsx'
import { Operations } from '../parts/operations.tsx'
import { Link, PageHeading } from '../parts/router.tsx'
import { WaitingList } from '../parts/waiting.tsx'

const mib = 1024 ** 2

export function HostPage({ name }: { readonly name: string }) {
  const now = useNow()
  const live = useLive<HostView>(`/hosts/${name}`)
  return (
    <Loaded live={live} now={now}>
      {(host) => <HostDetails host={host} now={now} reload={live.reload} />}
    </Loaded>
  )
}

function HostDetails({ host, now, reload }: { readonly host: HostView; readonly now: number; readonly reload: () => void }) {
  const act =
    (verb: string, body: object = {}) =>
    async (): Promise<void> => {
      await call('POST', `/hosts/${host.id}/${verb}`, { body, generation: host.generation })
      reload()
    }
  const cannot = (action: keyof typeof hostCan): string | null =>
    (hostCan[action] as readonly string[]).includes(host.state) ? null : `the host is ${host.state}`
  const open = host.schedulable.kind === 'open'
  return (
    <>
      <PageHeading title={host.name}>
        {host.name} <HostBadge host={host} />
      </PageHeading>
      <p className="quiet">
        <code>{host.id}</code> · pool {host.pool} · seen {ago(host.lastSeenAt, now)}
      </p>
      {host.schedulable.kind === 'quarantined' ? (
        <p className="problem">
          Quarantined: {host.schedulable.reason}. Cure: {host.schedulable.cure}
        </p>
      ) : null}
      <div className="actions">
        <Action
          label="Cordon"
          disabledReason={cannot('cordon') ?? (open ? null : `it is ${host.schedulable.kind}`)}
          run={act('cordon', { reason: 'from the dashboard' })}
        />
        <Action
          label="Drain"
          disabledReason={cannot('drain') ?? (host.schedulable.kind === 'draining' ? 'it is draining' : null)}
          run={act('drain', { reason: 'from the dashboard', deadlineMs: null })}
        />
        <Action label="Uncordon" disabledReason={cannot('uncordon') ?? (open ? 'it takes jobs already' : null)} run={act('uncordon')} />
      </div>
      <WaitingList waiting={host.waiting} now={now} />
      <section aria-labelledby="running">
        <h2 id="running">Running jobs</h2>
        {host.runningJobs.length === 0 ? (
          <p className="quiet">None.</p>
        ) : (
          <ul>
            {host.runningJobs.map((job) => (
              <li key={job.attemptId}>
                <Link href={`/jobs/${job.jobId}`}>{job.jobId}</Link>{' '}
                <span className="quiet">
                  queue {job.queue}, {ago(job.since, now)}
                </span>
              </li>
            ))}
          </ul>
        )}
      </section>
      <Operations hostId={host.id} now={now} />
      {host.facts === null ? <p className="quiet">No facts yet.</p> : <Facts facts={host.facts} now={now} />}
    </>
  )
}

function Facts({ facts, now }: { readonly facts: NonNullable<HostView['facts']>; readonly now: number }) {
  const rows: readonly (readonly [string, string])[] = [
    ['System', `${facts.os} ${facts.osVersion} (${facts.arch})`],
    ['Agent', facts.agentVersion],
    ['CPU', `${facts.capacity.cpu} (load ${facts.load1.toFixed(2)})`],
    ['Memory', `${bytes(facts.free.memoryMiB * mib)} free of ${bytes(facts.capacity.memoryMiB * mib)}`],
    [
      'Disk',
      `${bytes(facts.free.diskMiB * mib)} free of ${bytes(facts.capacity.diskMiB * mib)} (${Math.round(facts.diskUsed * 100)} % used)`,
    ],
    ['Clock', facts.clockSkewMs === null ? 'not measured' : `${Math.round(facts.clockSkewMs)} ms off the controller`],
    ['Reported', ago(facts.at, now)],
  ]
  return (
    <>
      <section aria-labelledby="facts">
        <h2 id="facts">Facts</h2>
        <dl>
          {rows.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section aria-labelledby="engines">
        <h2 id="engines">Engines</h2>
        <ul>
          {facts.engines.map((engine) => (
            <li key={engine.name}>
              <b>{engine.name}</b> {engine.ok ? '✓ works' : '✕ does not work'}, {engine.slots} slots, isolation by {engine.isolation}
              {engine.problems.map((problem) => (
                <div key={problem} className="note">
                  ⚠ {problem}
                </div>
              ))}
            </li>
          ))}
          {facts.readiness.map((one) => (
            <li key={`${one.engine} ${one.image ?? ''}`}>
              Readiness of {one.engine}
              {one.image === null ? '' : ` ${one.image}`}: check{' '}
              {one.check === null ? 'never' : `${one.check.ok ? '✓' : '✕'} ${ago(one.check.at, now)}`}, boot proof{' '}
              {one.boot === null ? 'never' : `${one.boot.ok ? '✓' : '✕'} ${ago(one.boot.at, now)}`}
            </li>
          ))}
        </ul>
      </section>
      {facts.problems.map((problem) => (
        <p key={problem} className="problem">
          ⚠ {problem}
        </p>
      ))}
    </>
  )
}
