import type { FastifyInstance } from 'fastify'

export const docsPath = '/api/docs'

/** The API's browser page. Loaded on the first look only: its files are 1.5 MB that a controller starts without. */
export async function mountDocs(app: FastifyInstance, document: object): Promise<void> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([import('@fastify/swagger'), import('@fastify/swagger-ui')])
  await app.register(async (scope) => {
    await scope.register(swagger, { mode: 'static', specification: { document: document as never } })
    await scope.register(swaggerUi, {
      routePrefix: docsPath,
      staticCSP: false,
      uiConfig: { docExpansion: 'none', supportedSubmitMethods: [], validatorUrl: null },
    })
  })
}
