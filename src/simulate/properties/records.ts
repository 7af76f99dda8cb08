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
