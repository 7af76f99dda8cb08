import { createHash } from 'node:crypto'
import type { Event } from '../model/event.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { Happening } from './happening.ts'

/** The journal of a run, in lines for people: each says when, who, and what. */
export interface Chronicle {
  write(at: Milliseconds, happening: Happening): void
  note(at: Milliseconds, who: string, what: string): void
  /** Gives an id a name that is the same in every run. */
  name(id: string, name: string): void
  nameOf(id: string): string
  lines(): readonly string[]
  /** SHA-256 over all lines, those that were not kept too. */
  hash(): string
}

const ids = /\b(?:job|att|host|op|sbx|ctl)_[0-9a-hjkmnp-tv-z]{26}\b/g
/** Nothing that happens to the fleet: too many, and they say nothing to a reader. */
const silent: ReadonlySet<Happening['kind']> = new Set(['heard', 'checked', 'obeyed', 'sandboxMade', 'proved'])

/** `keep`: how many of the last lines are kept for reading; the hash covers all. */
export function createChronicle(keep: number): Chronicle {
  const names = new Map<string, string>()
  const counts = new Map<string, number>()
  const digest = createHash('sha256')
  let lines: string[] = []

  function nameOf(id: string): string {
    const known = names.get(id)
    if (known !== undefined) return known
    const kind = id.slice(0, id.indexOf('_'))
    const number = (counts.get(kind) ?? 0) + 1
    counts.set(kind, number)
    const name = `${kind}-${number}`
    names.set(id, name)
    return name
  }

  function note(at: Milliseconds, who: string, what: string): void {
    const line = `${clock(at)}  ${who.padEnd(14)} ${what}`.replaceAll(ids, nameOf)
    digest.update(line)
    lines.push(line)
    if (lines.length > 2 * keep) lines = lines.slice(-keep)
  }

  return {
    note,
    nameOf,
    name: (id, name) => void names.set(id, name),
    lines: () => lines.slice(-keep),
    hash: () => digest.copy().digest('hex'),
    write(at, happening) {
      if (silent.has(happening.kind)) return
      if (happening.kind === 'committed')
        for (const event of happening.events)
          note(at, event.actor.startsWith('host:') ? event.actor.slice(5) : event.actor, eventText(event))
      else note(at, ...textOf(happening))
    },
  }
}

/** `d1 03:25:11.120` */
function clock(at: Milliseconds): string {
  const ms = Math.floor(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = Math.floor(ms / 86_400_000)
  return `d${day} ${two(Math.floor(ms / 3_600_000) % 24)}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`
}

/** Facts that a reader needs; the rest of an event is in the rows. */
const told = ['number', 'host', 'reason', 'state', 'outcome', 'why', 'waitedMs', 'epoch', 'generation', 'kind'] as const

function eventText(event: Event): string {
  const subject = event.subject.replace(/^(?:job|host|operation|sandbox)\//, '')
  const facts = told.flatMap((name) => (event.data[name] === undefined ? [] : [`${name} ${valueText(event.data[name])}`]))
  return `${event.kind} ${subject}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}${event.result === 'ok' ? '' : ` ${event.result}`}`
}

function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.values(value)
    .map((part) => (typeof part === 'object' ? JSON.stringify(part) : String(part)))
    .join(' ')
}

type Written = Exclude<Happening, { kind: 'committed' | 'heard' | 'checked' | 'obeyed' | 'sandboxMade' | 'proved' }>

function textOf(happening: Happening): [string, string] {
  const written = happening as Written
  switch (written.kind) {
    case 'accepted':
      return ['client', `${written.key} is accepted`]
    case 'answered':
      return ['operator', `${written.what} was answered`]
    case 'runStarted':
      return [written.host, `the command of ${written.job} started`]
    case 'runEnded':
      return [written.host, `the command of ${written.attempt} ended: ${endText(written.how)}`]
    case 'sandboxStarted':
      return [written.host, `${written.engine} starts ${written.sandbox}; ${written.running} run`]
    case 'sandboxGone':
      return [written.host, `${written.sandbox} is gone`]
    case 'rebootAsked':
      return [written.host, 'is told to restart']
    case 'machineDown':
      return [written.host, 'went down']
    case 'machineUp':
      return [written.host, 'is up again']
    case 'planFault':
      return ['controller', `a plan was unsound: ${written.problem}`]
    case 'told':
      return [written.who, written.what]
  }
}

function endText({
  cause,
  code,
  signal,
}: {
  readonly cause: string
  readonly code: number | null
  readonly signal: number | null
}): string {
  return `${cause}, ${code === null ? `signal ${signal ?? 0}` : `code ${code}`}`
}
