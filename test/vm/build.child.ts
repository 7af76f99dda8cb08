import { buildImage } from '../../src/act/agent/images/build.ts'
import { makeQemuEngine } from '../../src/drivers/engines/qemu/index.ts'
import type { QemuEngineSettings } from '../../src/drivers/engines/qemu/settings.ts'
import type { RecipeInput } from '../../src/model/image/recipe.ts'
import { testClient } from '../doubles/registry/client.ts'
import { sayPhases } from '../images/kill-at.ts'
import { buildOf } from './image-lab.ts'

// Builds and pushes, and says each phase as it begins. Whoever started it kills it.
const { settings, recipe, id, registry } = JSON.parse(process.argv[2] ?? '') as {
  readonly settings: QemuEngineSettings
  readonly recipe: RecipeInput
  readonly id: string
  readonly registry: string
}
const engine = makeQemuEngine({ ...settings, registry: testClient() })
const build = buildOf(id, {
  engine,
  recipe,
  onPhases: sayPhases(),
})
await buildImage(build)
console.log('push')
await engine.images.push(id, { registry, repository: 'ci/debian', tags: [id] }, { signal: new AbortController().signal })
console.log('done')
process.exit(0)
