import { Recipe } from '../../src/model/image/recipe.ts'
import type { GivenRecipe } from '../../src/record/image-recipes.ts'

/** A recipe as it is given to a controller; its one step tells recipes apart. */
export function givenRecipe(name: string, step = 'true', more: Record<string, unknown> = {}): GivenRecipe {
  const recipe = Recipe.parse({
    name,
    version: '3.6',
    engine: 'tart',
    base: { oci: 'registry.test/acme/base:latest' },
    guest: { os: 'macos', release: '15' },
    machine: { cpu: 2, memory: '2GiB', disk: '10GiB' },
    steps: [{ name: 'step', shell: step }],
    ...more,
  })
  const base = `sha256:${'b'.repeat(64)}`
  return { recipe, digests: {}, files: null, lock: { base, downloads: {}, packages: {} }, productVersion: '1.2.17' }
}
