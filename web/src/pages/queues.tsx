import type { QueueView } from '../../../src/model/api.ts'
import { useLive } from '../api/live.ts'
import { Capacity } from '../parts/capacity.tsx'
import { Loaded } from '../parts/notice.tsx'
import { Link, PageHeading } from '../parts/router.tsx'
import { TimeSince } from '../parts/time-ago.tsx'
import { WaitingList } from '../parts/waiting.tsx'

/** How deep each queue is, how long its oldest job waits, and why. */
export function QueuesPage() {
  const queues = useLive<{ readonly items: readonly QueueView[] }>('/queues', { gatherMs: 500 })
  return (
    <>
      <PageHeading title="Queues">Queues</PageHeading>
      <Loaded live={queues}>
        {({ items }) => (
          <div className="queues">
            {items.map((queue) => (
              <Queue key={queue.name} queue={queue} />
            ))}
          </div>
        )}
      </Loaded>
    </>
  )
}

function Queue({ queue }: { readonly queue: QueueView }) {
  const { name, queued, running, maxRunning, maxQueued, oldestQueuedAt, weight, pools, waiting } = queue
  return (
    <article className="panel queue" aria-labelledby={`queue-${name}`}>
      <div className="panel-head">
        <h2 id={`queue-${name}`}>{name}</h2>
        <span className="quiet">
          weight {weight} · {pools.length === 0 ? 'all pools' : pools.join(', ')}
        </span>
        <span className="panel-links">
          <Link href={`/jobs?queue=${name}&state=queued`}>queued jobs</Link>
          <Link href={`/jobs?queue=${name}`}>all jobs</Link>
        </span>
      </div>
      <dl className="figures small">
        <div>
          <dt>Queued</dt>
          <dd>
            <Capacity used={queued} total={maxQueued} unit="at most" />
          </dd>
        </div>
        <div>
          <dt>Running</dt>
          <dd>
            {maxRunning === null ? (
              <>
                {running.toLocaleString('en-US')} <span className="quiet">no limit</span>
              </>
            ) : (
              <Capacity used={running} total={maxRunning} unit="at most" />
            )}
          </dd>
        </div>
        <div>
          <dt>Oldest waits</dt>
          <dd>{oldestQueuedAt === null ? <span className="quiet">none waits</span> : <TimeSince at={oldestQueuedAt} />}</dd>
        </div>
      </dl>
      {waiting.length === 0 ? null : (
        <section aria-label={`Why jobs of ${name} wait`}>
          <WaitingList waiting={waiting} />
        </section>
      )}
    </article>
  )
}
