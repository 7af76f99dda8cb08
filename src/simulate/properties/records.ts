import type { Event } from '../../model/event.ts'
import { secretValue } from '../programs.ts'
import type { Property } from './property.ts'

export const noSecretInJournal: Property = {
  name: 'no secret is in the journal',
  from: 'standards: secrets never in logs, errors or events',
  begin: () => (happening) => {
    if (happening.kind !== 'committed') return null
    const leak = happening.events.find((event) => JSON.stringify(event).includes(secretValue))
    return leak === undefined ? null : `the event ${leak.kind} of ${leak.subject} holds a secret`
  },
}

export const everyChangeIsAudited: Property = {
  name: 'each change that was answered has its line in the journal',
  from: 'design 8: all mutations are audited',
  begin() {
    const lines = new Set<string>()
    return (happening) => {
      if (happening.kind === 'committed')
        for (const { actor, kind } of happening.events) if (actor.startsWith('user:')) lines.add(`${actor} ${kind}`)
      if (happening.kind !== 'answered') return null
      const { actor, event, what } = happening
      // A change that changes nothing (a cancel of what is over) has nothing to tell.
      if (lines.has(`${actor} ${event}`) || mayChangeNothing.has(event)) return null
      return `the ${what} was answered, and the journal has no ${event} by ${actor}`
    }
  },
}

const mayChangeNothing: ReadonlySet<string> = new Set(['job.cancelRequested'])

export const plansAreSound: Property = {
  name: 'the plan checker finds no fault in a plan',
  from: 'design 3; check-plan',
  begin: () => (happening) => (happening.kind === 'planFault' ? `a plan was unsound: ${happening.problem}` : null),
}

/** What is told of and what is there, by kind of row. */
const tellings = [
  ['jobs', 'job.submitted', 'select count(*) as n from jobs'],
  ['attempts', 'job.assigned', 'select count(*) as n from attempts'],
  ['ended jobs', 'job.ended', "select count(*) as n from jobs where state = 'ended'"],
  ['ended attempts', 'attempt.ended', 'select count(*) as n from attempts where ended_at is not null'],
] as const satisfies readonly (readonly [string, Event['kind'], string])[]

export const journalTellsAll: Property = {
  name: 'a change and its line in the journal come together or not at all',
  from: 'design 8: events are written in the transaction of the change',
  begin() {
    const counts = new Map<Event['kind'], number>()
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const { kind } of happening.events) counts.set(kind, (counts.get(kind) ?? 0) + 1)
      if (!happening.events.some(({ kind }) => tellings.some(([, event]) => event === kind))) return null
      for (const [what, kind, count] of tellings) {
        const there = (happening.look(count)[0] as { readonly n: number } | undefined)?.n ?? 0
        const told = counts.get(kind) ?? 0
        if (there !== told) return `there are ${there} ${what}, and the journal tells of ${told}`
      }
      return null
    }
  },
}

/** What only the leader does. */
const leading: ReadonlySet<Event['kind']> = new Set(['job.assigned', 'attempt.ended', 'host.lost', 'host.quarantined', 'host.repairing'])

export const onlyTheLeaderActs: Property = {
  name: 'nobody acts for the fleet under an epoch that is over',
  from: 'rivals: two controllers that both believe they lead',
  begin(about) {
    let newest = 0
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const { kind, actor, subject, epoch } of happening.events) {
        if (kind === 'controller.led') newest = Math.max(newest, epoch)
        if (actor !== 'system' || !leading.has(kind) || epoch >= newest) continue
        const what = subject.startsWith('job/') ? about.keyOf(subject.slice('job/'.length)) : subject
        return `${kind} of ${what} came from a controller of epoch ${epoch} when epoch ${newest} led`
      }
      return null
    }
  },
}
