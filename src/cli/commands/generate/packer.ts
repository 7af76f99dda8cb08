import { resolve } from 'node:path'
import { emptyLock } from '../../../model/image/lock.ts'
import { command, exitCodes } from '../../declare.ts'
import { packerTemplate } from '../../generate/packer.ts'
import { withShownPath } from '../image/show.ts'
import { printGenerated } from './print-generated.ts'

export const packer = command({
  name: 'packer',
  summary: 'print a Packer template (HCL2) that does what a recipe says',
  examples: [
    ['cidery generate packer macos-15.image.ts > macos-15.pkr.hcl', 'then packer init . && packer build .'],
    ['cidery generate packer macos-15.image.ts --output json', 'with the name of the file, as JSON'],
  ],
  details:
    'For recipes of the engine tart, with the plugin of Tart. Downloads are checked against the lock of the recipe, so they must be in it.',
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  prints: 'view',
  async run(cli, { args: [file = ''] }) {
    const { reportRecipe } = await import('../../../main/cli-image.ts')
    const { recipe, lock } = await reportRecipe(resolve(cli.cwd, file)).catch(withShownPath(cli, file))
    await printGenerated(cli, { file: `${recipe.name}.pkr.hcl`, text: packerTemplate(recipe, lock ?? emptyLock(recipe)) })
    return exitCodes.ok
  },
})
