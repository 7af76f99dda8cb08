import type { Mutant } from './mutant.ts'

/** Bad changes to which host gets a job, and to what is done to hosts. */
export const mutantsOfHosts: readonly Mutant[] = [
  {
    name: 'look at an engine once',
    why: 'what was ready once would say so if it were not any more',
    edits: [
      { file: 'src/model/readiness.ts', from: 'if (age > maxAge || age < -maxAge)', to: 'if (age < -maxAge)' },
      {
        file: 'src/loop/agent/readiness.ts',
        from: 'entry.nextCheckAt = clock.steady() + checkIntervalMs * (',
        to: 'entry.nextCheckAt = clock.steady() + 1000 * checkIntervalMs * (',
      },
    ],
    breaks: 'no job goes to a host without fresh readiness for its image',
    hunt: { hosts: 2, hours: 2, kinds: [] },
  },
  {
    name: 'assign without looking at the host again',
    why: 'it was open a moment ago, when the plan was made',
    edits: [
      {
        file: 'src/record/attempts.ts',
        from: "const open = host.state === 'up' && host.schedulable.kind === 'open' && host.generation === assignment.hostGeneration",
        to: "const open = host.state === 'up'",
      },
    ],
    breaks: 'no job goes to a host that is lost, or that somebody closed',
    hunt: { hosts: 4, hours: 3, kinds: ['storeSlow', 'cordon'], faultRate: 1000, jobsPerHostHour: 20 },
  },
  {
    name: 'give jobs to a cordoned host',
    why: 'a cordon is for people, and the labels keep jobs away',
    edits: [{ file: 'src/decide/host-view.ts', from: "  if (kind === 'cordoned') return 'hostCordoned'\n", to: '' }],
    breaks: 'the plan checker finds no fault in a plan',
    hunt: { hosts: 2, hours: 2, kinds: ['cordon'], faultRate: 20 },
  },
  {
    name: 'one guest too many',
    why: 'an off-by-one',
    edits: [
      {
        file: 'src/decide/fleet.ts',
        from: 'place.sandboxes[engine] >= (engines.get(engine)?.slots ?? 0)',
        to: 'place.sandboxes[engine] > (engines.get(engine)?.slots ?? 0)',
      },
      {
        file: 'src/decide/vacancies.ts',
        from: 'place.sandboxes[engine] < slots',
        to: 'place.sandboxes[engine] <= slots',
      },
    ],
    breaks: 'the plan checker finds no fault in a plan',
    hunt: { hosts: 1, hours: 2, kinds: [], jobsPerHostHour: 20 },
  },
  {
    name: 'count what cleans up as gone',
    why: 'its command is over, so that its slot is free',
    edits: [
      {
        file: 'src/record/feed.ts',
        from: "return { of: 'attempt', id, attempt: row === undefined || row.ended_at !== null ? null : attemptOf(row) }",
        to: `const attempt = row === undefined || row.ended_at !== null ? null : attemptOf(row)
      return { of: 'attempt', id, attempt: attempt?.state === 'cleaning' ? null : attempt }`,
      },
    ],
    breaks: 'a host never has more attempts than slots',
    hunt: { hosts: 5, hours: 2, kinds: ['stopFails'], faultRate: 60, jobsPerHostHour: 20 },
  },
  {
    name: 'count only the guests of live attempts',
    why: 'a slot is free as soon as its job is over, and no host has guests of strangers',
    edits: [
      {
        file: 'src/decide/fleet.ts',
        from: 'if (place.view.machines.length > 0) countStrangers(place, world)',
        to: 'if (place.view.machines.length > 99) countStrangers(place, world)',
      },
      {
        file: 'src/act/agent/carry-out-attempt.ts',
        from: "      await removeSandbox(attempt, engine)\n      return 'ended'",
        to: "      void removeSandbox(attempt, engine).catch(() => undefined)\n      return 'ended'",
      },
    ],
    breaks: 'no host is asked for a third macOS guest',
    hunt: { hosts: 1, hours: 2, kinds: [], jobsPerHostHour: 30, alone: true },
  },
  {
    name: 'restart a machine at once',
    why: 'who asks for a restart wants it now',
    edits: [
      {
        file: 'src/decide/operations.ts',
        from: "return request.kind === 'reboot' || (request.kind === 'restartAgent' && request.drain)",
        to: "return request.kind === 'restartAgent' && request.drain",
      },
    ],
    breaks: 'a host that runs a job is never restarted by us',
    hunt: { hosts: 2, hours: 2, kinds: ['operate'], faultRate: 20 },
  },
  {
    name: 'repair a busy machine',
    why: 'it is in quarantine, so that nothing of worth runs there',
    edits: [
      {
        file: 'src/decide/repairs.ts',
        from: 'if ((load?.attempts.length ?? 0) > 0) return false\n',
        to: 'if ((load?.attempts.length ?? 0) > 9) return false\n',
      },
    ],
    breaks: 'the plan checker finds no fault in a plan',
    hunt: { hosts: 2, hours: 2, kinds: ['ghostSlot'], faultRate: 40 },
  },
  {
    name: 'call everybody lost at the start',
    why: 'what was silent for so long is lost, whoever listened',
    edits: [{ file: 'src/loop/controller.ts', from: 'emptyWorld(listening.since)', to: 'emptyWorld(0)' }],
    breaks: 'no host is called lost that was answered a moment ago, or had nobody to answer it',
    hunt: { hosts: 2, hours: 2, kinds: ['controllerCrash'], faultRate: 10 },
  },
  {
    name: 'lose a host on an old plan',
    why: 'the plan said that it is lost',
    edits: [
      {
        file: 'src/loop/controller/effects.ts',
        from: "options.silentMs(step.hostId) < step.silentMs ? 'stale' : loseHost(tx, step)",
        to: 'loseHost(tx, step)',
      },
    ],
    breaks: 'no host is called lost that was answered a moment ago, or had nobody to answer it',
    hunt: { hosts: 8, hours: 2, kinds: ['storeSlow', 'badLine'], faultRate: 200, jobsPerHostHour: 3 },
  },
  {
    name: 'obey an older wish',
    why: 'what the controller says is what counts',
    edits: [
      {
        file: 'src/loop/agent.ts',
        from: 'const older = answer.epoch === seen.epoch && answer.generation < seen.generation',
        to: 'const older = false as boolean',
      },
    ],
    breaks: 'no host obeys an older wish than it obeyed before',
    hunt: { hosts: 4, hours: 3, kinds: ['badLine'], faultRate: 60, jobsPerHostHour: 20 },
  },
  {
    name: 'obey a deposed controller',
    why: 'any controller of the fleet is as good as another',
    edits: [{ file: 'src/loop/agent.ts', from: 'if (answer.epoch < seen.epoch) {', to: 'if (answer.epoch < 0) {' }],
    breaks: 'no host obeys an older wish than it obeyed before',
    hunt: {
      hosts: 5,
      hours: 2,
      kinds: ['controllerCrash', 'controllerFreeze', 'badLine'],
      faultRate: 40,
      controllers: 3,
      jobsPerHostHour: 10,
    },
  },
  {
    name: 'ask only for news after a restart',
    why: 'the agent knows from its journal what it obeyed last',
    edits: [
      {
        file: 'src/loop/agent.ts',
        from: 'seen: () => (knowsDesired ? seen : { epoch: seen.epoch, generation: 0 })',
        to: 'seen: () => seen',
      },
    ],
    breaks: 'rest',
    hunt: { hosts: 1, hours: 1, kinds: ['agentCrash'], faultRate: 60, jobsPerHostHour: 3, calmHours: 2 },
  },
]
