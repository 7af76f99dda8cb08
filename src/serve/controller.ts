import type { z } from 'zod'
import { ControllerView, DoctorView } from '../model/api.ts'
import { route, type Route } from './route.ts'

export interface ControllerFacts {
  readonly view: () => z.infer<typeof ControllerView>
  readonly doctor: () => Promise<z.infer<typeof DoctorView>>
}

/** What this controller is and how it does. */
export function controllerRoutes(facts: ControllerFacts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/controller',
      summary: 'This controller: version, lead, loop',
      tag: 'controller',
      access: 'read',
      response: ControllerView,
      handler: async () => facts.view(),
    }),
    route({
      method: 'GET',
      path: '/doctor',
      summary: 'Checks of the controller and its hosts, each with the next thing to do',
      tag: 'controller',
      access: 'read',
      response: DoctorView,
      handler: async () => facts.doctor(),
    }),
  ]
}
