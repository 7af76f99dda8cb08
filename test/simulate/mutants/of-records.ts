import type { Mutant } from './mutant.ts'

/** Bad changes to the journal, to logs and secrets, and to the lead. */
export const mutantsOfRecords: readonly Mutant[] = [
  {
    name: 'log who got which secret',
    why: 'the audit should say what was handed out',
    edits: [
      {
        file: 'src/serve/attempt-bytes.ts',
        from: '  return services.recorder.read(async (db) => {\n    const row = await ownAttempt(db, own)\n    const job',
        to: '  const values = await services.recorder.read(async (db) => {\n    const row = await ownAttempt(db, own)\n    const job',
      },
      {
        file: 'src/serve/attempt-bytes.ts',
        from: 'return openSecrets(db, services.box, { queue: job.queue, names: job.resolved.spec.secrets })\n  })',
        to: `return openSecrets(db, services.box, { queue: job.queue, names: job.resolved.spec.secrets })
  })
  const author = { actor: 'host:' + own.hostId, origin: null }
  await services.recorder.write(author, async (tx) => tx.note('secret.set', 'attempt/' + own.id, { data: values }))
  return values`,
      },
    ],
    breaks: 'no secret is in the journal',
    hunt: { hosts: 2, hours: 2, kinds: [], jobsPerHostHour: 10 },
  },
  {
    name: 'cordon without a line',
    why: 'the state of the host says it',
    edits: [{ file: 'src/record/hosts.ts', from: "  tx.note('host.cordoned', `host/${host.name}`, { data: { reason } })\n", to: '' }],
    breaks: 'each change that was answered has its line in the journal',
    hunt: { hosts: 2, hours: 2, kinds: ['cordon'], faultRate: 20 },
  },
  {
    name: 'write events after the commit',
    why: 'the journal is no longer in the way of the change',
    edits: [
      {
        file: 'src/record/commit.ts',
        from: '        if (draft.events.length > 0) await options.append(db, draft.events)\n',
        to: '',
      },
      {
        file: 'src/record/commit.ts',
        from: '      tellOfLast()\n      return result\n',
        to: `      tellOfLast()
      const { events } = last ?? { events: [] }
      if (events.length > 0) await store.write((db) => options.append(db, events))
      return result
`,
      },
    ],
    breaks: 'a change and its line in the journal come together or not at all',
    hunt: { hosts: 2, hours: 2, kinds: ['controllerCrash'], faultRate: 20, jobsPerHostHour: 10 },
  },
  {
    name: 'act under any epoch',
    why: 'the lease is renewed often enough',
    edits: [
      { file: 'src/record/lead.ts', from: 'if (current?.epoch === epoch) return current', to: 'if (current !== null) return current' },
    ],
    breaks: 'nobody acts for the fleet under an epoch that is over',
    hunt: { hosts: 3, hours: 2, kinds: ['controllerFreeze'], faultRate: 30, controllers: 2, jobsPerHostHour: 10 },
  },
  {
    name: 'tell of the lead with each renewal',
    why: 'who looks at the journal sees who leads',
    edits: [
      {
        file: 'src/loop/controller/lead.ts',
        from: '        await renew()\n',
        to: '        await renew()\n        await options.taken(epoch)\n',
      },
    ],
    breaks: 'settling',
    hunt: { hosts: 1, hours: 0.5, kinds: [], controllers: 2, jobsPerHostHour: 1, calmHours: 1 },
  },
  {
    name: 'send a log as it is',
    why: 'the job knows best what it prints',
    edits: [
      { file: 'src/act/agent/log-upload.ts', from: 'return hidden.subarray(held - start,', to: 'return bytes.subarray(held - start,' },
    ],
    breaks: 'logs',
    hunt: { hosts: 1, hours: 2, kinds: [], jobsPerHostHour: 12, calmHours: 4 },
  },
  {
    name: 'finish a log when all was sent',
    why: 'nothing is left to send',
    edits: [{ file: 'src/act/agent/log-upload.ts', from: 'if (complete && held === length) {', to: 'if (held > 0 && held === length) {' }],
    breaks: 'logs',
    hunt: { hosts: 1, hours: 1, kinds: [], jobsPerHostHour: 4, calmHours: 4 },
  },
]
