import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRecipeFile } from '../../observe/recipe-file.ts'
import { keptLayers, recipeIdentity } from './recipe-identity.ts'
import type { Ingredients } from './recipe-identity.ts'
import { Recipe } from './recipe.ts'
import type { RecipeInput } from './recipe.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

type StepInput = NonNullable<RecipeInput['steps']>[number]

const step: fc.Arbitrary<Omit<StepInput, 'name'>> = fc.oneof(
  fc.record({ shell: fc.stringMatching(/^[a-z ]{1,20}$/), as: fc.constantFrom('root' as const, 'user' as const) }),
  fc.constant({ shell: { file: 'run.sh' } }),
  fc.constant({ copy: { from: 'files', to: '/etc/files' } }),
  fc.constant({ reboot: {} }),
  fc.record({
    packages: fc.record({
      manager: fc.constantFrom('apt' as const, 'npm' as const),
      list: fc.constantFrom<string[]>(['gcc'], ['git@1.2'], ['gcc', 'make']),
    }),
  }),
  fc.record({ download: fc.record({ url: fc.constantFrom('https://example.com/a', 'https://example.com/b'), to: fc.constant('/tmp/a') }) }),
)
const layers = fc
  .array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 })
  .map((all) =>
    all.map((steps, layer) => ({ name: `layer-${layer}`, steps: steps.map((one, index) => ({ name: `step ${index}`, ...one })) })),
  )

function recipeOf(given: readonly unknown[], more: object = {}): Recipe {
  return Recipe.parse({
    name: 'a',
    version: '3.6',
    engine: 'qemu',
    base: { debian: 'bookworm' },
    guest: { os: 'debian', release: '12' },
    layers: given,
    ...more,
  })
}

const ingredients: Ingredients = {
  base: 'sha256:base',
  files: new Map([
    ['run.sh', '1'],
    ['files', '2'],
  ]),
  downloads: new Map([['https://example.com/a', '3']]),
  packages: new Map([['apt/gcc', '12.2.0']]),
}
const identify = (recipe: Recipe, more: Partial<Ingredients> = {}) => recipeIdentity(recipe, { ...ingredients, ...more }, sha256)

/** Every value of a step in another spelling that says something else. */
function changed(one: StepInput): StepInput {
  if (typeof one.shell === 'string') return { ...one, shell: `${one.shell}x` }
  if (one.packages !== undefined) return { ...one, packages: { ...one.packages, list: [...one.packages.list, 'extra'] } }
  if (one.download !== undefined) return { ...one, download: { ...one.download, to: '/tmp/elsewhere' } }
  if (one.copy !== undefined) return { ...one, copy: { ...one.copy, mode: '0600' } }
  return { ...one, name: `${one.name} anew` }
}

function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, field]) => [key, shuffled(field)]),
  )
}

describe('the identity of a recipe', () => {
  it('a changed step changes its layer and all above it, and none below', () => {
    fc.assert(
      fc.property(layers, fc.nat(), fc.nat(), (given, first, second) => {
        const at = first % given.length
        const steps = given.at(at)!.steps
        const index = second % steps.length
        const other = given.map((layer, number) =>
          number === at ? { ...layer, steps: steps.map((one, position) => (position === index ? changed(one) : one)) } : layer,
        )
        const [before, after] = [identify(recipeOf(given)), identify(recipeOf(other))]
        before.layers.forEach(({ identity }, number) => {
          expect(identity === after.layers.at(number)!.identity).toBe(number < at)
        })
        expect(after.recipe).not.toBe(before.recipe)
        expect(after.identity).not.toBe(before.identity)
        // What is kept of the old build serves the new one up to the layer below.
        expect(keptLayers(after, new Set(before.layers.map(({ identity }) => identity)))).toBe(at)
      }),
    )
  })

  it('nothing but what is said counts: not the order of keys', () => {
    fc.assert(
      fc.property(layers, (given) => {
        const recipe = recipeOf(given)
        expect(
          identify(
            Recipe.parse(
              shuffled({
                name: 'a',
                version: '3.6',
                engine: 'qemu',
                base: { debian: 'bookworm' },
                guest: { os: 'debian', release: '12' },
                layers: given,
              }),
            ),
          ),
        ).toEqual(identify(recipe))
      }),
    )
  })

  it('nor comments, spaces and quotes of the file', () => {
    const one = readRecipeFile(
      'name: a\nversion: "1"\nengine: qemu\nbase: { debian: bookworm }\nguest: { os: debian, release: "12" }\nsteps:\n  - name: b\n    shell: "true"\n',
      'a.yaml',
    )
    const other = readRecipeFile(
      "# why\nsteps: [ {shell: 'true',   name: b} ]  # said\nguest:\n  release: '12'\n  os: debian\nbase:\n  debian: bookworm\nengine: 'qemu'\nversion: '1'\nname: a\n",
      'a.yaml',
    )
    expect(identify(other)).toEqual(identify(one))
  })

  it('bytes of files, of downloads and versions of packages count for their layer and those above', () => {
    const recipe = recipeOf([
      { name: 'low', steps: [{ name: 'a', packages: { manager: 'apt', list: ['gcc'] } }] },
      {
        name: 'middle',
        steps: [
          { name: 'a', shell: { file: 'run.sh' } },
          { name: 'b', copy: { from: 'files', to: '/etc/files' } },
        ],
      },
      { name: 'high', steps: [{ name: 'a', download: { url: 'https://example.com/a', to: '/tmp/a' } }] },
    ])
    const before = identify(recipe)
    const kept = (more: Partial<Ingredients>) => keptLayers(identify(recipe, more), new Set(before.layers.map(({ identity }) => identity)))
    expect(kept({})).toBe(3)
    expect(kept({ downloads: new Map([['https://example.com/a', 'other']]) })).toBe(2)
    expect(
      kept({
        files: new Map([
          ['run.sh', 'other'],
          ['files', '2'],
        ]),
      }),
    ).toBe(1)
    expect(
      kept({
        files: new Map([
          ['run.sh', '1'],
          ['files', 'other'],
        ]),
      }),
    ).toBe(1)
    expect(kept({ packages: new Map([['apt/gcc', '12.3.0']]) })).toBe(0)
    expect(kept({ base: 'sha256:other' })).toBe(0)
  })

  it('another base or engine is another image, though the recipe is the same', () => {
    const recipe = recipeOf([{ name: 'low', steps: [{ name: 'a', shell: 'true' }] }])
    const other = identify(recipe, { base: 'sha256:other' })
    expect(other.recipe).toBe(identify(recipe).recipe)
    expect(other.identity).not.toBe(identify(recipe).identity)
  })

  it('what is set at the end of a build changes the image and no layer', () => {
    const given = [{ name: 'low', steps: [{ name: 'a', shell: 'true' }] }]
    const [plain, named] = [identify(recipeOf(given)), identify(recipeOf(given, { settings: { hostName: 'golden' } }))]
    expect(named.layers).toEqual(plain.layers)
    expect(named.identity).not.toBe(plain.identity)
  })

  it('is not made without the bytes of a file', () => {
    const recipe = recipeOf([{ name: 'low', steps: [{ name: 'a', shell: { file: 'gone.sh' } }] }])
    expect(() => identify(recipe)).toThrow('recipe a names files that are not there: gone.sh')
  })
})
