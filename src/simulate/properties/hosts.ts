import type { Event } from '../../model/event.ts'
import { minute, type Milliseconds } from '../../model/instant.ts'
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

export const twoMacosGuests: Property = {
  name: 'never more than two macOS guests run on a host',
  from: "Apple's licence; tart.md",
  begin: () => (happening) =>
    happening.kind === 'sandboxStarted' && happening.engine === 'tart' && happening.running > 2
      ? `${happening.host} runs ${happening.running} macOS guests`
      : null,
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

export const sandboxIsNotShared: Property = {
  name: 'a sandbox is never used by two jobs',
  from: 'design 6: each job in a clean sandbox',
  begin(about) {
    const users = new Map<string, string>()
    return (happening) => {
      if (happening.kind !== 'runStarted') return null
      const { sandbox, job } = happening
      const before = users.get(sandbox)
      users.set(sandbox, job)
      return before === undefined || before === job ? null : `a sandbox of ${about.keyOf(before)} was used by ${about.keyOf(job)}`
    }
  },
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

/** A controller that just started, or whose clock jumped, calls nobody lost that it heard of a moment ago. */
export const livingHostIsNotLost: Property = {
  name: 'no host is called lost that was answered a moment ago',
  from: 'rivals: all workers expire together',
  begin: (about) => (happening) => {
    if (happening.kind !== 'committed') return null
    for (const event of happening.events) {
      if (event.kind !== 'host.lost') continue
      const host = event.subject.slice('host/'.length)
      const silent = about.now() - about.heardAt(host)
      if (silent < about.spec.limits.syncPoll) return `${host} was called lost ${Math.round(silent)} ms after it was answered`
    }
    return null
  },
}
