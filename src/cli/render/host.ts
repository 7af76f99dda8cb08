import type { HostView } from '../client/views.ts'
import type { RenderOptions } from './job.ts'
import { renderFields } from './output.ts'
import { hostState } from './states.ts'
import { paint } from './style.ts'
import { cleanLines, cleanText } from './text.ts'
import { absoluteTime, relativeTime, sizeText } from './time.ts'
import { waitingLines } from './waiting.ts'

const mib = 1_048_576

/** Everything about a host, for people. */
export function renderHost(host: HostView, { now, color }: RenderOptions): string {
  const { facts } = host
  const fields = renderFields(
    [
      ['host', host.name],
      ['id', host.id],
      ['state', hostState(host)],
      ['why', whyNotOpen(host)],
      ['pool', host.pool],
      ['labels', labelsText(host.labels)],
      ['seen', host.lastSeenAt === null ? 'never' : relativeTime(host.lastSeenAt, now)],
      ['enrolled', absoluteTime(host.enrolledAt)],
      ['jobs', host.runningJobs.map((job) => job.jobId).join(', ')],
      ['slots', slotsText(host)],
      ['operation', host.operation === null ? '' : `${host.operation.request.kind} ${host.operation.state} (${host.operation.id})`],
      ['failures', host.failureStreak === 0 ? '' : `${host.failureStreak} in a row`],
      ...(facts === null ? [] : factRows(facts)),
    ],
    color,
  )
  const engines = (facts?.engines ?? []).map((engine) => {
    const problems = engine.problems.map((problem) => `    ! ${cleanText(problem)}\n`).join('')
    return `  ${engine.ok ? paint('✓ ok', 'good', color) : paint('✗ not ok', 'bad', color)} ${cleanText(`${engine.name} ${engine.version}`)}, isolates by ${engine.isolation}, ${engine.slots} slots\n${problems}`
  })
  const problems = (facts?.problems ?? []).map((problem) => `  ! ${cleanText(problem)}\n`)
  const waiting = host.waiting.map((one) => cleanLines(waitingLines(one)))
  const part = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `\n${paint(title, 'strong', color)}\n${lines.join('')}`
  return `${fields}${part('Engines', engines)}${part('Problems', problems)}${part('Waits for', waiting)}`
}

function factRows(facts: NonNullable<HostView['facts']>): readonly (readonly [string, string])[] {
  return [
    ['system', `${facts.os} ${facts.osVersion} ${facts.arch}, ${facts.hostname}`],
    ['agent', facts.agentVersion],
    ['agent from', releaseText(facts.agentRelease)],
    ['CPU', `${facts.capacity.cpu}, load ${facts.load1.toFixed(2)}`],
    ['memory', `${sizeText(facts.free.memoryMiB * mib)} free of ${sizeText(facts.capacity.memoryMiB * mib)}`],
    ['disk', `${sizeText(facts.free.diskMiB * mib)} free of ${sizeText(facts.capacity.diskMiB * mib)}`],
    ['images', facts.images.join(', ')],
    ['clock skew', facts.clockSkewMs === null ? '' : `${Math.round(facts.clockSkewMs)} ms`],
  ]
}

function releaseText(release: NonNullable<HostView['facts']>['agentRelease']): string {
  if (release === undefined) return ''
  const { path, commit, sha256 } = release
  return [path, commit === null ? '' : `commit ${commit}`, sha256 === null ? '' : `SHA-256 ${sha256}`]
    .filter((part) => part !== '')
    .join(', ')
}

/** Who or what keeps new jobs away. */
function whyNotOpen({ schedulable }: HostView): string {
  switch (schedulable.kind) {
    case 'open':
      return ''
    case 'cordoned':
      return `by ${schedulable.by}${schedulable.reason === '' ? '' : `: ${schedulable.reason}`}`
    case 'draining':
      return `by ${schedulable.by}${schedulable.reason === '' ? '' : `: ${schedulable.reason}`}${schedulable.deadline === null ? '' : `, until ${absoluteTime(schedulable.deadline)}`}`
    case 'quarantined':
      return `${schedulable.reason}; ${schedulable.cure}`
  }
}

export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
}

export function slotsText(host: HostView): string {
  return Object.entries(host.slots)
    .map(([engine, { used, total }]) => `${engine} ${used}/${total}`)
    .join(' ')
}
