import { z } from 'zod'
import type { SimulatedController } from '../controllers.ts'
import type { SimulatedFleet } from '../fleet-parts.ts'
import type { FaultBase } from './fault-kind.ts'

/** Which controller a fault strikes: by its place (0 is controller-1), or whichever leads when it begins. */
export const Struck = z.union([z.int().min(0).max(2), z.literal('leader')])

interface ControllerFault extends FaultBase {
  readonly controller: z.infer<typeof Struck>
}

/** Whom a fault struck when it began: it ends for the same one, whoever leads then. */
const struck = new WeakMap<ControllerFault, SimulatedController>()

export function strike(fleet: SimulatedFleet, fault: ControllerFault): SimulatedController | undefined {
  const { controllers } = fleet
  const leader = controllers.find((controller) => controller.serving()?.core.lead.leads() === true)
  const found = fault.controller === 'leader' ? leader : controllers[fault.controller]
  if (found === undefined) struck.delete(fault)
  else struck.set(fault, found)
  return found
}

export function struckBy(fault: ControllerFault): SimulatedController | undefined {
  return struck.get(fault)
}

export function struckWords({ controller }: ControllerFault): string {
  return controller === 'leader' ? 'the controller that leads' : `controller-${controller + 1}`
}
