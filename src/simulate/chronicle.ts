import { createHash } from 'node:crypto'
import type { Event } from '../model/event.ts'
import { hour, minute, second, type Milliseconds } from '../model/instant.ts'
import { endWords, eventWords, type Words } from './event-words.ts'
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
/** What ids stand for that nobody named. */
const nouns: Readonly<Record<string, string>> = { att: 'attempt', op: 'operation', sbx: 'sandbox', ctl: 'controller' }
/** What operations are called, for what they do to a host. */
const operationNouns: Readonly<Record<string, string>> = {
  exec: 'a command on',
  restartAgent: 'a restart of the agent of',
  upgradeAgent: 'an upgrade of the agent of',
  reboot: 'a restart of',
  probe: 'a probe of',
  clean: 'a clean-up of',
}

/** `keep`: how many of the last lines are kept for reading; the hash covers all. */
export function createChronicle(keep: number): Chronicle {
  const names = new Map<string, string>()
  const counts = new Map<string, number>()
  const checks = new Map<string, boolean>()
  const digest = createHash('sha256')
  let leader = 'controller'
  let lines: string[] = []

  function numbered(noun: string): number {
    const number = (counts.get(noun) ?? 0) + 1
    counts.set(noun, number)
    return number
  }

  function nameOf(id: string): string {
    const known = names.get(id)
    if (known !== undefined) return known
    // What has no name in the scenario is counted, in the order in which it comes up.
    const at = id.indexOf('_')
    if (at < 0) return id
    const kind = id.slice(0, at)
    const noun = nouns[kind] ?? kind
    const name = `${noun}-${numbered(noun)}`
    names.set(id, name)
    return name
  }

  function note(at: Milliseconds, who: string, what: string): void {
    const line = `${clock(at)}  ${who.padEnd(13)} ${what}`.replaceAll(ids, nameOf)
    digest.update(line)
    lines.push(line)
    if (lines.length > 2 * keep) lines = lines.slice(-keep)
  }

  /** Attempts and operations are called by what they are for, from the event on that makes them. */
  function learn(event: Event): void {
    const { kind, data, subject } = event
    if (kind === 'controller.led') leader = nameOf(String(data['holder']))
    if (kind === 'job.assigned')
      names.set(String(data['attemptId']), `attempt ${String(data['number'])} of ${nameOf(subject.slice('job/'.length))}`)
    if (kind !== 'operation.requested') return
    const noun = `${operationNouns[String(data['kind'])] ?? String(data['kind'])} ${String(data['host'])}`
    const number = numbered(noun)
    names.set(subject.slice('operation/'.length), number === 1 ? noun : `${noun} (no. ${number})`)
  }

  /** Checks come all the time: told is when one comes out otherwise than the one before. */
  function turnOf({ host, engine, image, ok, reason }: Extract<Happening, { kind: 'checked' }>): Words | null {
    const what = `${host}, ${image ?? engine}`
    const before = checks.get(what) ?? true
    checks.set(what, ok)
    if (before === ok) return null
    return [host, ok ? `its check of ${image ?? engine} is good again` : `its check of ${image ?? engine} is bad: ${reason}`]
  }

  return {
    note,
    nameOf,
    name: (id, name) => void names.set(id, name),
    lines: () => lines.slice(-keep),
    hash: () => digest.copy().digest('hex'),
    write(at, happening) {
      if (happening.kind === 'committed') {
        for (const event of happening.events) {
          learn(event)
          note(at, ...eventWords(event, { leader, nameOf }))
        }
        return
      }
      const words = happening.kind === 'checked' ? turnOf(happening) : wordsOf(happening)
      if (words !== null) note(at, ...words)
    },
  }
}

/** Since the start: `03:25:11.120`; the hours go on after a day. */
export function clock(at: Milliseconds): string {
  const ms = Math.floor(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  const time = `${two(Math.floor(ms / hour))}:${two(Math.floor(ms / minute) % 60)}:${two(Math.floor(ms / second) % 60)}`
  return `${time}.${String(ms % second).padStart(3, '0')}`
}

/** The sandbox of an attempt has its id; others are made for a look at whether a machine boots, or to be lent. */
function sandboxWords(id: string): string {
  return isOfAttempt(id) ? `the sandbox of ${id}` : id
}

function isOfAttempt(sandbox: string): boolean {
  return sandbox.startsWith('att_')
}

type Told = Exclude<Happening, { kind: 'committed' }>
type Telling = { readonly [K in Told['kind']]: ((happening: Extract<Told, { kind: K }>) => Words | null) | null }

/** What really happened, in plain sentences; null: it happens all the time, and says nothing to a reader. */
const tellings: Telling = {
  accepted: ({ key }) => ['client', `is told that ${key} is accepted`],
  answered: ({ what }) => ['operator', `is told that it is done: ${what}`],
  runStarted: ({ host, attempt }) => [host, `runs the command of ${attempt}`],
  commandStarted: ({ host, operation }) => [host, `runs ${operation}`],
  runEnded: ({ host, attempt, how }) => [host, `the command of ${attempt} ends: ${endWords(how)}`],
  sandboxStarted: ({ host, sandbox, engine, running }) => [
    host,
    `boots ${sandboxWords(sandbox)}${isOfAttempt(sandbox) ? '' : ' for no job'} (${engine}, ${running} running)`,
  ],
  bootFailed: ({ host, sandbox, why }) => [host, `cannot boot ${sandboxWords(sandbox)}: ${why}`],
  // That a job's sandbox booted, its command shows.
  proved: ({ host, sandbox, engine, image }) => (isOfAttempt(sandbox) ? null : [host, `${image ?? engine} boots here: ${sandbox} answers`]),
  sandboxGone: ({ host, sandbox }) => [host, `has removed ${sandboxWords(sandbox)}`],
  rebootAsked: ({ host }) => [host, 'is told to restart by its agent'],
  machineDown: ({ host }) => [host, 'goes down'],
  machineUp: ({ host }) => [host, 'is up again'],
  planFault: ({ problem }) => ['controller', `made an unsound plan: ${problem}`],
  told: ({ who, what }) => [who, what],
  heard: null,
  checked: null,
  obeyed: null,
  sandboxMade: null,
  sandboxRefused: null,
  sandboxStopped: null,
}

function wordsOf(happening: Told): Words | null {
  const telling = tellings[happening.kind] as ((happening: Told) => Words | null) | null
  return telling === null ? null : telling(happening)
}
