import type { JobView } from '../../../src/model/api.ts'
import { formatDuration } from '../../../src/model/instant.ts'
import type { Outcome } from '../../../src/model/job.ts'
import { useNow } from '../api/clock.ts'
import { lookOfOutcome } from '../parts/badge.tsx'
import { outcomeText } from '../parts/format.ts'
import { timelineOf, timesOf, type Lane } from './positions.ts'

/** Where a job's time went: a lane per attempt on one axis, and the same in words. */
export function Timeline({ job }: { readonly job: JobView }) {
  const now = useNow()
  const { lanes, ticks, from, to } = timelineOf(job, job.endedAt ?? now)
  if (lanes.length === 0) return null
  return (
    <section aria-labelledby="timeline" className="panel">
      <div className="panel-head">
        <h2 id="timeline">Timeline</h2>
        <span className="quiet">{formatDuration(to - from)} in all</span>
      </div>
      <ol className="lanes">
        {lanes.map((lane) => (
          <li key={lane.attempt ?? 'next'} className="lane">
            <span className="lane-name">{nameOf(lane)}</span>
            <div>
              <div className="lane-bar" aria-hidden="true">
                {lane.segments.map((segment) => (
                  <span
                    key={segment.phase}
                    className={`segment ${segment.phase}${segment.isLive ? ' live' : ''}`}
                    style={{ left: `${segment.left}%`, width: `${segment.width}%` }}
                    title={`${segment.phase} ${formatDuration(segment.to - segment.from)}`}
                  />
                ))}
              </div>
              <ul className="lane-times">
                {timesOf(lane).map(({ phase, ms, isLive }) => (
                  <li key={phase}>
                    <span className={`swatch ${phase}`} aria-hidden="true" /> {phase} <b>{formatDuration(ms)}</b>
                    {isLive ? ' so far' : ''}
                  </li>
                ))}
                <Ended outcome={job.attempts.find(({ number }) => number === lane.attempt)?.outcome ?? null} />
              </ul>
            </div>
          </li>
        ))}
      </ol>
      <div className="axis" aria-hidden="true">
        {ticks.map(({ after, left }) => (
          <span key={after} style={{ left: `${left}%` }}>
            {after === 0 ? '0' : formatDuration(after)}
          </span>
        ))}
      </div>
    </section>
  )
}

function Ended({ outcome }: { readonly outcome: Outcome | null }) {
  if (outcome === null) return null
  const { tone, glyph } = lookOfOutcome(outcome)
  return (
    <li className={tone}>
      <span aria-hidden="true">{glyph}</span> {outcomeText(outcome)}
    </li>
  )
}

function nameOf({ attempt, hostName }: Lane): string {
  return attempt === null ? 'waiting' : `${attempt} · ${hostName ?? ''}`
}
