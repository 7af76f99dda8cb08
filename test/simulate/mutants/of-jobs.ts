import type { Mutant } from './mutant.ts'

/** Bad changes to what is recorded of jobs and attempts, and to who may decide it. */
export const mutantsOfJobs: readonly Mutant[] = [
  {
    name: 'answer before the commit',
    why: 'a write is answered sooner, and the commit nearly always goes well',
    edits: [
      {
        file: 'src/drivers/stores/group-commit.ts',
        from: 'for (const entry of taken.length > 0 ? taken : this.#take(taken)) outcomes.push(await batch.run(entry.work))',
        to: `for (const entry of taken.length > 0 ? taken : this.#take(taken)) {
        const outcome = await batch.run(entry.work)
        entry.settle(outcome)
        outcomes.push(outcome)
      }`,
      },
    ],
    breaks: 'an accepted job is never lost',
    hunt: { hosts: 2, hours: 2, kinds: ['storeFails'], faultRate: 60, jobsPerHostHour: 20 },
  },
  {
    name: 'give a silent host up at once',
    why: 'its jobs wait for half an hour although it is known to be lost',
    edits: [
      {
        file: 'src/decide/attempts.ts',
        from: 'return Math.max(receiptAt + lease + Math.ceil(lease * leaseDrift) + leaseSlack, world.listeningSince + lostInterval(limits))',
        to: 'return Math.max(receiptAt, world.listeningSince) + lostInterval(limits)',
      },
    ],
    breaks: 'no two attempts of a job run at once',
    hunt: { hosts: 3, hours: 2, kinds: ['partition'], faultRate: 20 },
  },
  {
    name: 'let a lost lease run on',
    why: 'the job is nearly done, and the controller will come back',
    edits: [
      {
        file: 'src/loop/agent/attempts.ts',
        from: 'return leaseEnded ? Number.POSITIVE_INFINITY : leaseMs',
        to: "return leaseEnded || state === 'running' ? Number.POSITIVE_INFINITY : leaseMs",
      },
    ],
    breaks: 'no two attempts of a job run at once',
    hunt: { hosts: 3, hours: 2, kinds: ['partition'], faultRate: 20, limits: '{ attemptLease: 5m }' },
  },
  {
    name: 'take a late outcome',
    why: 'what the host says is closer to the truth than what was concluded without it',
    edits: [
      {
        file: 'src/record/attempts.ts',
        from: 'if (row.host_id !== context.hostId || row.generation !== report.generation || row.ended_at !== null)',
        to: 'if (row.host_id !== context.hostId || row.generation !== report.generation)',
      },
      {
        file: 'src/record/attempts.ts',
        from: "updateTable('attempts').set(row).where('id', '=', attempt.id).where('ended_at', 'is', null).executeTakeFirst()",
        to: "updateTable('attempts').set(row).where('id', '=', attempt.id).executeTakeFirst()",
      },
    ],
    breaks: 'each job has exactly one outcome, and each attempt one end',
    hunt: { hosts: 3, hours: 2, kinds: ['partition'], faultRate: 20, limits: '{ attemptLease: 5m }' },
  },
  {
    name: 'believe any exit code',
    why: 'the command ended, and its code is there',
    edits: [
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: "if (sandbox?.state === 'running') return null",
        to: 'if (sandbox !== undefined) return null',
      },
    ],
    breaks: 'a recorded exit code is the one that the command really gave',
    hunt: { hosts: 2, hours: 2, kinds: ['sandboxDies'], faultRate: 40 },
  },
  {
    name: 'send a job only once',
    why: 'a host that has begun an attempt need not be told of it again',
    edits: [
      {
        file: 'src/record/desired.ts',
        from: 'if (attempt.hostBootId !== host.bootId) continue',
        to: "if (attempt.hostBootId !== host.bootId || attempt.state !== 'assigned') continue",
      },
    ],
    breaks: 'no job is cancelled that nobody cancelled',
    hunt: { hosts: 2, hours: 2, kinds: [], jobsPerHostHour: 6 },
  },
  {
    name: 'try for ever',
    why: 'a failure of the infrastructure is not the fault of the job',
    edits: [
      {
        file: 'src/record/attempts.ts',
        from: 'if (job.infrastructureFailures >= job.resolved.retries)',
        to: 'if (job.resolved.retries === 0)',
      },
    ],
    breaks: 'no job is tried more often than its queue allows',
    hunt: { hosts: 3, hours: 2, kinds: ['sandboxDies', 'supervisorDies'], faultRate: 150 },
  },
  {
    name: 'adopt nothing',
    why: 'the controller says what is wanted anyway, so that an agent that starts need not read its journal',
    edits: [
      {
        file: 'src/loop/agent/attempts.ts',
        from: "for (const [id, value] of await journal.list('attempt')) {",
        to: 'for (const [id, value] of new Map<string, unknown>()) {',
      },
    ],
    breaks: 'the command of an attempt is started once',
    hunt: { hosts: 3, hours: 2, kinds: ['agentCrash'], faultRate: 30, jobsPerHostHour: 6, alone: true },
  },
  {
    name: 'forget to tell the host',
    why: 'the attempt is in the record, and the host reads it with its next poll',
    edits: [
      {
        file: 'src/record/attempts.ts',
        from: "tx.touch('attempt', attempt.id)\n  tx.desire(host.id)\n  const build = attempt.buildId",
        to: "tx.touch('attempt', attempt.id)\n  const build = attempt.buildId",
      },
    ],
    breaks: 'rest',
    hunt: { hosts: 1, hours: 0.5, kinds: [], jobsPerHostHour: 6, calmHours: 2 },
  },
]
