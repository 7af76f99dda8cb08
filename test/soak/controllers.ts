import type { z } from 'zod'
import type { ControllerView } from '../../src/model/api.ts'
import { apiOf, type Api } from '../e2e/api.ts'
import type { FleetController } from '../e2e/fleet-controller.ts'
import type { ControllerAddress } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'

/** Two controllers of one fleet, whoever leads. */
export interface Controllers {
  readonly controllers: readonly FleetController[]
  address(): ControllerAddress
}

export type View = z.infer<typeof ControllerView>

export function apiOfController(controller: FleetController, token: string): Api {
  return apiOf(() => ({ url: controller.url, token }))
}

/** Asks the controllers in turn: what one that is dead does not answer is asked of the other. */
export function apiOfAll(fleet: Controllers): Api {
  let asked = 0
  const { token } = fleet.address()
  return apiOf(() => {
    asked += 1
    return { url: fleet.controllers[asked % fleet.controllers.length]?.url ?? '', token }
  })
}

export async function viewOf(fleet: Controllers, controller: FleetController): Promise<View | null> {
  return apiOfController(controller, fleet.address().token)
    .get<View>('/controller')
    .catch(() => null)
}

export interface Roles {
  readonly leader: FleetController
  readonly follower: FleetController
  readonly epoch: number
}

export function rolesOf(fleet: Controllers): Promise<Roles> {
  return waitFor('one controller to lead and the other to follow', async () => {
    const seen = await Promise.all(fleet.controllers.map(async (controller) => ({ controller, view: await viewOf(fleet, controller) })))
    const leader = seen.find(({ view }) => view?.leads === true)
    const follower = seen.find(({ view }) => view?.leads === false)
    if (leader === undefined || follower === undefined) return null
    return { leader: leader.controller, follower: follower.controller, epoch: leader.view?.epoch ?? 0 }
  })
}
