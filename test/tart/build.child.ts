import { buildImage } from '../../src/act/agent/images/build.ts'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { TartEngineSettings } from '../../src/drivers/engines/tart/settings.ts'
import type { RecipeInput } from '../../src/model/image/recipe.ts'
import { testClient } from '../doubles/registry/client.ts'
import { sayPhases } from '../images/kill-at.ts'
import { macBuild, signal, type Pinned } from './image-lab.ts'

// Brings a base, builds and pushes, and says each phase as it begins. Whoever started it kills it.
const { settings, recipe, id, base } = JSON.parse(process.argv[2] ?? '') as {
  readonly settings: TartEngineSettings
  readonly recipe: RecipeInput
  readonly id: string
  readonly base: Pinned
}
const engine = makeTartEngine({ ...settings, registry: testClient() })
const build = await macBuild(id, {
  engine,
  recipe,
  base,
  onPhases: sayPhases(),
})
await buildImage(build)
console.log('push')
await engine.images.push(id, { registry: base.registry, repository: 'ci/macos', tags: [id] }, { signal })
console.log('done')
process.exit(0)
