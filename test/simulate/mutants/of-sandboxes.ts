import type { Mutant } from './mutant.ts'

/** Bad changes to how sandboxes are made, kept and removed. */
export const mutantsOfSandboxes: readonly Mutant[] = [
  {
    name: 'sweep without owners at the start',
    why: 'an agent that starts finds only what the last one left behind',
    edits: [
      {
        file: 'src/loop/agent/strays.ts',
        from: 'const swept = await engine.sweep(owners)',
        to: 'const swept = await engine.sweep(new Set())',
      },
    ],
    breaks: 'no sandbox is taken down by us while its command runs',
    hunt: { hosts: 2, hours: 2, kinds: ['agentCrash'], faultRate: 20 },
  },
  {
    name: 'clean a host by sweeping all',
    why: 'who asks for a clean host wants an empty one',
    edits: [
      {
        file: 'src/act/agent/carry-out-operation.ts',
        from: 'const sweeping = engine.sweep(owners())',
        to: 'const sweeping = engine.sweep(new Set())',
      },
    ],
    breaks: 'no sandbox is taken down by us while its command runs',
    hunt: { hosts: 2, hours: 2, kinds: ['operate'], faultRate: 30 },
  },
  {
    name: 'take every restart for one of the machine',
    why: 'after a restart nothing can be running',
    edits: [
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: "if (state === 'ended' || state === 'cleaning' || contact.bootId === attempt.around.bootId) return",
        to: "if (state === 'ended' || state === 'cleaning') return",
      },
    ],
    breaks: 'no sandbox is taken down by us while its command runs',
    hunt: { hosts: 2, hours: 2, kinds: ['agentCrash'], faultRate: 20 },
  },
  {
    name: 'clean up after the end',
    why: 'the job need not wait until its machine is removed',
    edits: [
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: "      await removeSandbox(attempt, engine)\n      return 'ended'",
        to: "      void removeSandbox(attempt, engine).catch(() => undefined)\n      return 'ended'",
      },
    ],
    breaks: 'the sandbox of a job is gone when its host says that it ended, or the host says what is left',
    hunt: { hosts: 1, hours: 1, kinds: [], jobsPerHostHour: 10 },
  },
  {
    name: 'keep the machine for the next job of the queue',
    why: 'it is booted already',
    edits: [
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: 'const making = engine.create({ id, jobId,',
        to: 'const making = engine.create({ id: attempt.record().queue, jobId,',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: 'withDeadline(timers, engine.start(id), {',
        to: 'withDeadline(timers, engine.start(attempt.record().queue), {',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: 'const inside: Inside = { ports, engine: engineOf(attempt), id, signal }',
        to: 'const inside: Inside = { ports, engine: engineOf(attempt), id: attempt.record().queue, signal }',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: 'engineOf(attempt).command(id, {',
        to: 'engineOf(attempt).command(queue, {',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: 'find((sandbox) => sandbox.id === id)',
        to: 'find((sandbox) => sandbox.id === attempt.record().queue)',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: '      await removeSandbox(attempt, engine)\n',
        to: '',
      },
    ],
    breaks: 'a sandbox is never used by two attempts',
    hunt: { hosts: 1, hours: 1, kinds: [], jobsPerHostHour: 10 },
  },
  {
    name: 'leave what a wedged probe holds',
    why: 'the probe was given up, and its engine will see to the rest',
    edits: [
      {
        file: 'src/loop/agent/readiness.ts',
        from: '      if (residue !== null) await options.residue.add({ id, engine: engine.name, problem: residue })\n',
        to: '',
      },
    ],
    breaks: 'rest',
    hunt: { hosts: 1, hours: 3, kinds: ['boot'], faultRate: 100, jobsPerHostHour: 2, calmHours: 2 },
  },
]
