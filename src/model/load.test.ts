import { expect, it } from 'vitest'

/** Schemas are built while their module loads; a mistake there shows in this file even when all others cannot load at all. */
it.each([
  ['spec', () => import('./spec.ts'), 'Spec'],
  ['host', () => import('./host.ts'), 'HostFacts'],
  ['job', () => import('./job.ts'), 'JobSpec'],
  ['operation', () => import('./operation.ts'), 'OperationRequest'],
  ['sync', () => import('./sync.ts'), 'SyncRequest'],
  ['api', () => import('./api.ts'), 'JobView'],
])('%s loads', async (_name, load, schema) => {
  expect(await load()).toHaveProperty(schema)
})
