import { route } from './route.ts'
import type { Route } from './route.ts'

/** `GET /api/openapi.json`. */
export function openApiRoutes(document: object): readonly Route[] {
  const text = JSON.stringify(document)
  return [
    route({
      method: 'GET',
      path: '/api/openapi.json',
      summary: 'This description',
      tag: 'controller',
      access: 'public',
      response: 'raw',
      handler: async ({ reply }) => {
        await reply.type('application/json; charset=utf-8').send(text)
      },
    }),
  ]
}
