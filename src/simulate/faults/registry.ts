import { z } from 'zod'
import { clockDrift, clockJump } from './clock-faults.ts'
import type { FaultBase, FaultKind } from './fault-kind.ts'
import { boot, destroyLeaves, diskFull, ghostSlot, imagesGone, powerLoss, sandboxDies, stopFails } from './machine-faults.ts'
import { badLine, partition } from './network-faults.ts'
import { cancel, cordon, drain, editSpec, hostCommand, operate } from './people.ts'
import { agentCrash, agentFreeze, controllerCrash, controllerFreeze, secondAgent, supervisorDies } from './process-faults.ts'
import { storeCut, storeFails, storeFull, storeSlow } from './store-faults.ts'

const all = [
  agentCrash,
  agentFreeze,
  supervisorDies,
  controllerCrash,
  controllerFreeze,
  badLine,
  partition,
  storeFull,
  storeFails,
  storeSlow,
  boot,
  sandboxDies,
  stopFails,
  destroyLeaves,
  ghostSlot,
  diskFull,
  imagesGone,
  powerLoss,
  clockJump,
  clockDrift,
  cordon,
  drain,
  operate,
  cancel,
  editSpec,
  storeCut,
  hostCommand,
  secondAgent,
] as const

/** Every kind of fault that chance or a script may bring. A new kind is one entry here. */
export const faultKinds: readonly FaultKind[] = all

/** A fault as a script has it. */
export type Fault = FaultBase
export const Fault = z.discriminatedUnion(
  'kind',
  all.map(({ schema }) => schema) as unknown as [z.ZodObject, ...z.ZodObject[]],
) as unknown as z.ZodType<Fault>

export function faultKind(kind: string): FaultKind {
  const found = faultKinds.find((each) => each.kind === kind)
  if (found === undefined) throw new Error(`there is no fault of the kind ${kind}`)
  return found
}
