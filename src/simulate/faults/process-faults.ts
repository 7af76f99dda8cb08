import { z } from 'zod'
import { formatDuration, minute, second } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import { wholeBetween } from '../random.ts'
import type { FaultKind } from './fault-kind.ts'
import { strike, struckBy, struckWords, Struck } from './struck.ts'

const at = Moment

function nth(count: number): string {
  const ending = count % 100 > 10 && count % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][count % 10] ?? 'th')
  return `${count}${ending}`
}

const AgentCrash = z.strictObject({
  kind: z.literal('agentCrash'),
  at,
  host: z.string(),
  /** Dies at its nth call of a port from then on; 0: at once. */
  calls: z.int().nonnegative(),
  /** Only calls of this name count: `create`, `start`, `sync` …. */
  of: z.string().optional(),
  moment: z.enum(['before', 'after']),
  /** Its service manager starts it after so long, ms. */
  backAfter: Moment,
})

export const agentCrash: FaultKind<z.infer<typeof AgentCrash>> = {
  kind: 'agentCrash',
  schema: AgentCrash,
  perDay: 1,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'agentCrash',
    at: when,
    host: target,
    calls: wholeBetween(random, 0, 60),
    moment: random.fraction() < 0.5 ? 'before' : 'after',
    backAfter: random.fraction() < 0.8 ? wholeBetween(random, 1, 30) * second : wholeBetween(random, 1, 45) * minute,
  }),
  words: ({ host, calls, moment, of, backAfter }) =>
    `the agent of ${host} is killed ${calls === 0 ? 'now' : `${moment} its ${nth(calls)} call ${of === undefined ? '' : `of ${of} `}from now`}, and comes back ${formatDuration(backAfter)} later`,
  begin(fleet, { host, calls, moment, of, backAfter }) {
    const { agent } = fleet.host(host)
    agent.comesBackAfter(backAfter)
    if (calls === 0) agent.kill()
    else agent.life()?.endAtCall(calls, moment, of)
  },
}

const AgentFreeze = z.strictObject({ kind: z.literal('agentFreeze'), at, for: Duration, host: z.string() })

export const agentFreeze: FaultKind<z.infer<typeof AgentFreeze>> = {
  kind: 'agentFreeze',
  schema: AgentFreeze,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'agentFreeze', at: when, for: wholeBetween(random, 5, 3000) * second, host: target }),
  words: ({ host }) => `the agent of ${host} stands still`,
  begin: (fleet, { host }) => fleet.host(host).agent.life()?.freeze(),
  end: (fleet, { host }) => fleet.host(host).agent.life()?.thaw(),
}

const SecondAgent = z.strictObject({ kind: z.literal('secondAgent'), at, for: Duration, host: z.string() })

/** Somebody copied the folder of an agent to another account of its machine, and started that as well. Only scripts bring it: people do it, chance does not. */
export const secondAgent: FaultKind<z.infer<typeof SecondAgent>> = {
  kind: 'secondAgent',
  schema: SecondAgent,
  perDay: 0,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'secondAgent', at: when, for: wholeBetween(random, 1, 30) * minute, host: target }),
  words: ({ host }) => `a second agent, of another account, speaks for ${host}`,
  begin: (fleet, { host }) => fleet.host(host).second.start(),
  end(fleet, { host }) {
    const { second } = fleet.host(host)
    second.comesBackAfter(Number.POSITIVE_INFINITY)
    second.kill()
  },
}

const SupervisorDies = z.strictObject({ kind: z.literal('supervisorDies'), at, host: z.string() })

/** The supervisor of one running command is killed, and the command with it. */
export const supervisorDies: FaultKind<z.infer<typeof SupervisorDies>> = {
  kind: 'supervisorDies',
  schema: SupervisorDies,
  perDay: 0.3,
  per: 'host',
  draw: (_random, when, { target }) => ({ kind: 'supervisorDies', at: when, host: target }),
  words: ({ host }) => `the supervisor of a command on ${host} is killed`,
  begin(fleet, { host }) {
    const { supervisors } = fleet.host(host).machine
    const [first] = supervisors.alive()
    if (first !== undefined) supervisors.kill(first)
  },
}

const controller = Struck

const ControllerCrash = z.strictObject({
  kind: z.literal('controllerCrash'),
  at,
  controller,
  /** Dies before its nth statement from then on, inside whatever transaction that is; 0: at once. */
  statements: z.int().nonnegative(),
  /** Only inserts into this table count, and it dies after the nth of them, before what follows it in the transaction. */
  into: z.string().optional(),
  backAfter: Moment,
})

export const controllerCrash: FaultKind<z.infer<typeof ControllerCrash>> = {
  kind: 'controllerCrash',
  schema: ControllerCrash,
  perDay: 8,
  per: 'fleet',
  draw: (random, when, { controllers }) => ({
    kind: 'controllerCrash',
    at: when,
    controller: wholeBetween(random, 0, controllers - 1),
    statements: wholeBetween(random, 0, 80),
    backAfter: random.fraction() < 0.8 ? wholeBetween(random, 1, 60) * second : wholeBetween(random, 1, 60) * minute,
  }),
  words: (fault) => `${struckWords(fault)} is killed ${strokeWords(fault)}, and comes back ${formatDuration(fault.backAfter)} later`,
  begin(fleet, fault) {
    const { statements, into, backAfter } = fault
    const target = strike(fleet, fault)
    target?.comesBackAfter(backAfter)
    if (statements === 0) target?.life()?.end()
    else target?.life()?.endAtStatement(statements, into)
  },
}

function strokeWords({ statements, into }: z.infer<typeof ControllerCrash>): string {
  if (statements === 0) return 'now'
  if (into === undefined) return `before its ${nth(statements)} statement from now`
  return `after its ${nth(statements)} insert into ${into}, before the commit`
}

const ControllerFreeze = z.strictObject({ kind: z.literal('controllerFreeze'), at, for: Duration, controller })

/** SIGSTOP, or a machine whose lid was closed: it goes on as if no time had passed. */
export const controllerFreeze: FaultKind<z.infer<typeof ControllerFreeze>> = {
  kind: 'controllerFreeze',
  schema: ControllerFreeze,
  perDay: 2,
  per: 'fleet',
  draw: (random, when, { controllers }) => ({
    kind: 'controllerFreeze',
    at: when,
    for: wholeBetween(random, 2, 300) * second,
    controller: wholeBetween(random, 0, controllers - 1),
  }),
  words: (fault) => `${struckWords(fault)} stands still, and does not know it`,
  begin: (fleet, fault) => strike(fleet, fault)?.life()?.freeze(),
  end: (_fleet, fault) => struckBy(fault)?.life()?.thaw(),
}
