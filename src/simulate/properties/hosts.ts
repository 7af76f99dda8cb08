import type { Event } from '../../model/event.ts'
import { minute, second, type Milliseconds } from '../../model/instant.ts'
import { Pool } from '../../model/spec.ts'
import type { About, Property } from './property.ts'

/** What a report may take to arrive and to be decided on. */
const reportSlack: Milliseconds = 3 * minute

function keyOf(about: { readonly host: string; readonly engine: string; readonly image: string | null }): string {
  return `${about.host}/${about.engine}/${about.image ?? ''}`
}

/** Believed-ready hosts eat jobs: only a host that really proved itself lately gets one. */
export const onlyReadyHostsGetJobs: Property = {
  name: 'no job goes to a host without fresh readiness for its image',
  from: 'predecessors: a believed-ready host that eats 111 jobs',
  begin(about) {
    const checked = new Map<string, Milliseconds>()
    const booted = new Map<string, Milliseconds>()
    return (happening) => {
      if (happening.kind === 'checked' && happening.ok) checked.set(keyOf(happening), about.now())
      if (happening.kind === 'proved') booted.set(keyOf(happening), about.now())
      if (happening.kind !== 'committed') return null
      for (const event of happening.events) {
        if (event.kind !== 'job.assigned') continue
        const problem = unready(event)
        if (problem !== null) return problem
      }
      return null
    }

    function unready(event: Event): string | null {
      const job = event.subject.slice('job/'.length)
      const host = String(event.data['host'])
      const [row] = (about.look()?.('select doc from jobs where id = ?', [job]) ?? []) as { readonly doc: string }[]
      if (row === undefined) return null
      const { resolved } = JSON.parse(row.doc) as { readonly resolved: { readonly engine: string; readonly image: string | null } }
      const { engine, image } = resolved
      const key = keyOf({ host, engine, image })
      const { checkMaxAge, bootProofMaxAge } = readinessOf(about, host)
      const problem = tooOld('check', checked.get(key), checkMaxAge) ?? tooOld('boot', booted.get(key), bootProofMaxAge)
      return problem === null ? null : `${about.keyOf(job)} was given to ${host}, whose ${image ?? engine} ${problem}`
    }

    function tooOld(what: string, at: Milliseconds | undefined, maxAge: Milliseconds): string | null {
      if (at === undefined) return `had no good ${what} yet`
      const age = about.now() - at
      return age > maxAge + reportSlack ? `had its last good ${what} ${Math.round(age / minute)} min ago` : null
    }
  },
}

function readinessOf(about: About, host: string): Pool['readiness'] {
  const name = about.scenario.hosts.find((each) => each.name === host)?.pool ?? 'default'
  return about.spec.pools[name]?.readiness ?? Pool.parse({}).readiness
}

/** Slots are counted from what hosts say, never from memory. */
export const slotsAreNotOverbooked: Property = {
  name: 'a host never has more attempts than slots',
  from: 'predecessors: slots counted from memory',
  begin(about) {
    const slots = new Map(about.scenario.hosts.map(({ name, engines }) => [name, engines.reduce((sum, engine) => sum + engine.slots, 0)]))
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const event of happening.events) {
        if (event.kind !== 'job.assigned') continue
        const host = String(event.data['host'])
        const rows = happening.look(
          'select count(*) as n from attempts join hosts on hosts.id = attempts.host_id where hosts.name = ? and attempts.ended_at is null',
          [host],
        ) as { readonly n: number }[]
        const live = rows[0]?.n ?? 0
        if (live > (slots.get(host) ?? 0)) return `${host} has ${live} attempts and ${slots.get(host) ?? 0} slots`
      }
      return null
    }
  },
}

export const busyHostIsNotRestarted: Property = {
  name: 'a host that runs a job is never restarted by us',
  from: 'rivals: busy workers killed',
  begin: (about) => (happening) =>
    happening.kind === 'rebootAsked' && happening.runs.length > 0
      ? `${happening.host} was restarted while ${happening.runs.length} commands ran there (at ${about.now()} ms)`
      : null,
}

export const generationsNeverGoBack: Property = {
  name: 'no host obeys an older wish than it obeyed before',
  from: 'design 3, "level, not edge"',
  begin() {
    const obeyed = new Map<string, { readonly epoch: number; readonly generation: number }>()
    return (happening) => {
      if (happening.kind !== 'obeyed') return null
      const { host, epoch, generation } = happening
      const before = obeyed.get(host)
      obeyed.set(host, { epoch, generation })
      if (before === undefined || epoch > before.epoch || (epoch === before.epoch && generation >= before.generation)) return null
      return `${host} obeyed epoch ${epoch}, generation ${generation} after ${before.epoch}, ${before.generation}`
    }
  },
}

/** A controller that just started, or took the lead, calls nobody lost that it had no time to hear. */
export const livingHostIsNotLost: Property = {
  name: 'no host is called lost that was answered a moment ago, or had nobody to answer it',
  from: 'rivals: all workers expire together',
  begin(about) {
    let ledSince = Number.NEGATIVE_INFINITY
    // One controller tells the others of whom it heard once a second.
    const wordTakes = about.scenario.controllers > 1 ? 3 * second : 0
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const event of happening.events) {
        if (event.kind === 'controller.led') ledSince = about.now()
        if (event.kind !== 'host.lost') continue
        const host = event.subject.slice('host/'.length)
        const { syncPoll } = about.spec.limits
        const silent = Math.round(about.now() - about.heardAt(host))
        if (silent < syncPoll && silent >= wordTakes) return `${host} was called lost ${silent} ms after it was answered`
        const led = Math.round(about.now() - ledSince)
        if (led < syncPoll) return `${host} was called lost ${led} ms after a controller took the lead`
      }
      return null
    }
  },
}

/** Events that close a host to new jobs, or open it again. */
const opening: ReadonlyMap<Event['kind'], string> = new Map([
  ['host.cordoned', 'cordoned'],
  ['host.draining', 'draining'],
  ['host.quarantined', 'quarantined'],
  ['host.uncordoned', 'open'],
  ['host.returned', 'open'],
])

export const closedHostGetsNoJob: Property = {
  name: 'no job goes to a host that is lost, or that somebody closed',
  from: 'design 3: steps are conditional on the generation they were decided under',
  begin() {
    const closed = new Map<string, string>()
    const lost = new Set<string>()
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const { kind, subject, data } of happening.events) {
        const name = subject.slice('host/'.length)
        const now = opening.get(kind)
        if (now !== undefined) closed.set(name, now)
        if (kind === 'host.lost') lost.add(name)
        if (kind === 'host.up') lost.delete(name)
        if (kind !== 'job.assigned') continue
        const host = String(data['host'])
        const state = lost.has(host) ? 'lost' : (closed.get(host) ?? 'open')
        if (state !== 'open') return `${host} was given a job while it was ${state}`
      }
      return null
    }
  },
}
