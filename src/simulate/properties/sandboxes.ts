import type { Event } from '../../model/event.ts'
import type { Property } from './property.ts'

/** The kernel of a Mac refuses a third guest: nothing of ours may count on that. */
export const twoMacosGuests: Property = {
  name: 'no host is asked for a third macOS guest',
  from: "Apple's licence; tart.md",
  begin: () => (happening) => {
    if (happening.kind === 'sandboxStarted' && happening.engine === 'tart' && happening.running > 2)
      return `${happening.host} runs ${happening.running} macOS guests`
    // A probe may take a slot that a job wants in the same moment, and be refused itself: both are tried again.
    if (happening.kind !== 'sandboxRefused' || happening.engine !== 'tart' || !happening.sandbox.startsWith('att_')) return null
    return happening.jobs < 2 ? null : `${happening.host} was asked for a macOS guest for a job while ${happening.jobs} jobs had one`
  },
}

export const sandboxIsNotShared: Property = {
  name: 'a sandbox is never used by two attempts',
  from: 'design 6: each job in a clean sandbox',
  begin(about) {
    const users = new Map<string, { readonly attempt: string; readonly job: string }>()
    return (happening) => {
      if (happening.kind === 'sandboxGone') users.delete(`${happening.host}/${happening.sandbox}`)
      if (happening.kind !== 'runStarted') return null
      const { host, sandbox, job, attempt } = happening
      const before = users.get(`${host}/${sandbox}`)
      users.set(`${host}/${sandbox}`, { attempt, job })
      if (before === undefined || before.attempt === attempt) return null
      return `a sandbox of ${about.keyOf(before.job)} was used by another attempt of ${about.keyOf(job)}`
    }
  },
}

export const sandboxOfCommandStays: Property = {
  name: 'no sandbox is taken down by us while its command runs',
  from: 'rivals: busy workers killed; sweeps that take what is in use',
  begin(about) {
    const running = new Map<string, string>()
    return (happening) => {
      if (happening.kind === 'runEnded') running.delete(happening.attempt)
      if (happening.kind === 'runStarted') running.set(happening.sandbox, happening.job)
      if (happening.kind !== 'sandboxStopped') return null
      const job = running.get(happening.sandbox)
      return job === undefined ? null : `the sandbox of ${about.keyOf(job)} was stopped on ${happening.host} while the command ran`
    }
  },
}

/** What a host cannot remove it says, so that its engine gets no job until it could. */
export const sandboxEndsWithItsJob: Property = {
  name: 'the sandbox of a job is gone when its host says that it ended, or the host says what is left',
  from: 'predecessors: leaked machines eat the slots',
  begin(about) {
    const there = new Set<string>()

    function left({ kind, actor, subject, data }: Event): string | null {
      const attempt = String(data['attemptId'])
      if (kind !== 'attempt.ended' || !actor.startsWith('host:') || !there.has(attempt)) return null
      const rows = about.look()?.('select doc from attempts where id = ?', [attempt]) ?? []
      const [row] = rows as readonly { readonly doc: string }[]
      const { notes = [] } = JSON.parse(row?.doc ?? '{}') as { readonly notes?: readonly string[] }
      if (notes.some((note) => note.startsWith('clean-up of the sandbox failed'))) return null
      return `${about.keyOf(subject.slice('job/'.length))} ended, and its sandbox is still there`
    }

    return (happening) => {
      if (happening.kind === 'sandboxMade') there.add(happening.sandbox)
      if (happening.kind === 'sandboxGone') there.delete(happening.sandbox)
      if (happening.kind !== 'committed') return null
      for (const event of happening.events) {
        const problem = left(event)
        if (problem !== null) return problem
      }
      return null
    }
  },
}
