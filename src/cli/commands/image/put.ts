import { resolve } from 'node:path'
import { openApi } from '../../client/api.ts'
import { uploadFile } from '../../client/upload.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import type { ImageView } from './fleet.ts'
import { withShownPath } from './show.ts'

export const put = command<{ readonly productVersion?: string }>({
  name: 'put',
  summary: 'put a recipe into force: the fleet builds what it does not have yet',
  examples: [['cidery image put images/debian-12.yaml', 'its files and its lock go with it; the same again changes nothing']],
  details:
    'The image of the recipe has to be in cidery.yaml, with `recipe`. What jobs get stays until a build of the new recipe is promoted.',
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [{ flags: '--product-version <version>', about: 'version of the product that the image is for' }],
  prints: 'view',
  async run(cli, { args: [file = ''], options }) {
    const { packRecipe } = await import('../../../main/recipe-bundle.ts')
    const bundle = await packRecipe(resolve(cli.cwd, file), cli.temporaryDirectory).catch(withShownPath(cli, file))
    const progress = makeProgress(cli)
    try {
      const api = await openApi(cli)
      const { archive } = bundle
      if (archive !== null) {
        await progress.say('sending the files of the recipe')
        await uploadFile(cli, api, archive)
      }
      const { name } = bundle.recipe
      const body = { ...bundle.body, productVersion: options.productVersion ?? null }
      const image = await api.call<ImageView>('PUT', `/images/${encodeURIComponent(name)}/recipe`, { body })
      await progress.clear()
      await printThing(cli, {
        value: image,
        name: image.name,
        text: () => `✓ recipe ${image.recipe?.version ?? ''} of ${name} is in force\n`,
      })
      return exitCodes.ok
    } finally {
      await progress.clear()
      await bundle.remove()
    }
  },
})
