import { z } from 'zod'
import { formatDuration, minute, second } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import { oneOf, wholeBetween } from '../random.ts'
import type { FaultKind } from './fault-kind.ts'

const at = Moment
const host = z.string()

const Cordon = z.strictObject({ kind: z.literal('cordon'), at, for: Duration, host })

/** Somebody takes a host out for a while. */
export const cordon: FaultKind<z.infer<typeof Cordon>> = {
  kind: 'cordon',
  schema: Cordon,
  perDay: 0.5,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'cordon', at: when, for: wholeBetween(random, 1, 90) * minute, host: target }),
  words: ({ host: name }) => `somebody cordons ${name}`,
  begin: (fleet, fault) => fleet.people.cordon(fault.host),
  end: (fleet, fault) => fleet.people.uncordon(fault.host),
}

const Drain = z.strictObject({
  kind: z.literal('drain'),
  at,
  for: Duration,
  host,
  deadlineMs: Duration.nullable(),
})

export const drain: FaultKind<z.infer<typeof Drain>> = {
  kind: 'drain',
  schema: Drain,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'drain',
    at: when,
    for: wholeBetween(random, 1, 90) * minute,
    host: target,
    deadlineMs: random.fraction() < 0.5 ? null : wholeBetween(random, 1, 30) * minute,
  }),
  words: ({ host: name }) => `somebody drains ${name}`,
  begin: (fleet, fault) => fleet.people.drain(fault.host, fault.deadlineMs),
  end: (fleet, fault) => fleet.people.uncordon(fault.host),
}

const operations = ['restartAgent', 'reboot', 'probe', 'clean'] as const
const operationWords = {
  restartAgent: 'a restart of the agent of',
  reboot: 'a restart of',
  probe: 'a probe of',
  clean: 'a clean-up of',
} as const satisfies Record<(typeof operations)[number], string>
const Operate = z.strictObject({ kind: z.literal('operate'), at, host, what: z.enum(operations) })

export const operate: FaultKind<z.infer<typeof Operate>> = {
  kind: 'operate',
  schema: Operate,
  perDay: 0.6,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'operate', at: when, host: target, what: oneOf(random, operations) }),
  words: ({ host: name, what }) => `somebody wants ${operationWords[what]} ${name}`,
  begin: (fleet, fault) => fleet.people.operate(fault.host, fault.what),
}

const HostCommand = z.strictObject({ kind: z.literal('hostCommand'), at, host, runsMs: Moment, code: z.int().min(0).max(255) })

/** Somebody runs a command on a host itself. */
export const hostCommand: FaultKind<z.infer<typeof HostCommand>> = {
  kind: 'hostCommand',
  schema: HostCommand,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'hostCommand',
    at: when,
    host: target,
    runsMs: wholeBetween(random, 1, 900) * second,
    code: random.fraction() < 0.8 ? 0 : 1,
  }),
  words: ({ host: name, runsMs }) => `somebody wants a command of ${formatDuration(runsMs)} run on ${name}`,
  begin: (fleet, { host: name, runsMs, code }) => fleet.people.run(name, { runsMs, code, logBytes: 64 }),
}

const Cancel = z.strictObject({ kind: z.literal('cancel'), at, job: z.string() })

/** Somebody cancels a job, a while after it was submitted. */
export const cancel: FaultKind<z.infer<typeof Cancel>> = {
  kind: 'cancel',
  schema: Cancel,
  perDay: 60,
  per: 'fleet',
  draw(random, when, { jobs }) {
    const candidates = jobs.filter(({ at: submitted }) => submitted <= when && submitted > when - 30 * minute)
    return candidates.length === 0 ? null : { kind: 'cancel', at: when, job: oneOf(random, candidates).key }
  },
  words: ({ job }) => `somebody cancels ${job}`,
  begin: (fleet, fault) => fleet.people.cancel(fault.job),
}

const EditSpec = z.strictObject({
  kind: z.literal('editSpec'),
  at,
  for: Duration,
  /** `narrow`: each engine of each pool gets one slot. `strict`: readiness proofs age fast. `lost`: hosts count as lost soon. */
  how: z.enum(['narrow', 'strict', 'lost']),
})

/** Somebody applies another spec, and takes it back. */
export const editSpec: FaultKind<z.infer<typeof EditSpec>> = {
  kind: 'editSpec',
  schema: EditSpec,
  perDay: 2,
  per: 'fleet',
  draw: (random, when) => ({
    kind: 'editSpec',
    at: when,
    for: wholeBetween(random, 1, 60) * minute,
    how: oneOf(random, ['narrow', 'strict', 'lost'] as const),
  }),
  words: ({ how }) => `somebody edits the spec (${how})`,
  begin: (fleet, fault) => fleet.people.editSpec(fault.how),
  end: (fleet) => fleet.people.revertSpec(),
}
