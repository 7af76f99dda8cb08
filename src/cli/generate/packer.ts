import { CideryError } from '../../model/errors.ts'
import type { RecipeLock } from '../../model/image/lock.ts'
import { stepTimeout } from '../../model/image/recipe.ts'
import type { Recipe } from '../../model/image/recipe.ts'
import { managerRunsAs, packageOf } from '../../model/image/step.ts'
import type { PackageManager, Step, StepOf } from '../../model/image/step.ts'
import type { Tool } from '../../model/image/tool.ts'
import { writeHcl } from './hcl.ts'
import type { HclBlock, HclValue } from './hcl.ts'
import { shellWords } from './shell-words.ts'

const gib = 1024 ** 3

/**
 * A Packer template that does the steps of a recipe with the plugin `tart`. Downloads have the checksums of the lock: CONFLICT when one is not there. UNSUPPORTED for what the plugin cannot start from.
 */
export function packerTemplate(recipe: Recipe, lock: RecipeLock): string {
  const { base, machine, timeouts } = recipe
  if (recipe.engine !== 'tart') {
    throw new CideryError('UNSUPPORTED', `there is no Packer template for ${recipe.name}: its engine is ${recipe.engine}`, {
      hint: 'Packer builds recipes of the engine tart',
    })
  }
  const source = {
    vm_name: recipe.name,
    vm_base_name: base.kind === 'oci' ? pinned(base.reference, lock) : base.kind === 'image' ? base.image : undefined,
    from_ipsw: base.kind === 'ipsw' ? base.source : undefined,
    cpu_count: machine.cpu,
    memory_gb: Math.ceil(machine.memory / gib),
    disk_size_gb: Math.ceil(machine.disk / gib),
    headless: true,
    communicator: 'ssh',
    ssh_username: { raw: 'var.ssh_username' },
    ssh_password: { raw: 'var.ssh_password' },
    ssh_timeout: seconds(timeouts.connect),
  }
  const blocks: readonly HclBlock[] = [
    {
      type: 'packer',
      labels: [],
      attributes: {},
      blocks: [
        {
          type: 'required_plugins',
          labels: [],
          attributes: { tart: { object: { version: '>= 1.21.0', source: 'github.com/cirruslabs/tart' } } },
        },
      ],
    },
    { type: 'variable', labels: ['ssh_username'], attributes: { type: { raw: 'string' }, default: 'admin' } },
    {
      type: 'variable',
      labels: ['ssh_password'],
      comment: 'Of the account of the base image; PKR_VAR_ssh_password sets it.',
      attributes: { type: { raw: 'string' }, sensitive: true },
    },
    { type: 'source', labels: ['tart-cli', 'image'], attributes: source },
    {
      type: 'build',
      labels: [],
      attributes: { name: recipe.name, sources: ['source.tart-cli.image'] },
      blocks: [
        ...recipe.layers.flatMap(({ name, steps }) => steps.flatMap((step) => provisioners({ recipe, lock, layer: name, step }))),
        ...toolChecks(recipe.tools),
      ],
    },
  ]
  return `# Made by cidery generate packer from the recipe ${recipe.name} ${recipe.version}; change the recipe, not this file.\n\n${writeHcl(blocks)}`
}

/** The reference with the digest that the lock has, so that a moved tag changes nothing. */
function pinned(reference: string, { base }: RecipeLock): string {
  if (reference.includes('@') || base === null || base.name !== reference) return reference
  return `${reference.replace(/:[^/:]*$/, '')}@${base.digest}`
}

const seconds = (ms: number) => `${Math.ceil(ms / 1000)}s`

interface Place {
  readonly recipe: Recipe
  readonly lock: RecipeLock
  readonly layer: string
  readonly step: Step
}

/** Runs as root by sudo without a password, which the base images allow; bytes of the script come by a file. */
const asRoot = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"

function provisioners({ recipe, lock, layer, step }: Place): readonly HclBlock[] {
  const common = { timeout: seconds(stepTimeout(recipe, step)), max_retries: step.retries === 0 ? undefined : step.retries }
  const comment = `${layer}: ${step.name}`
  const shell = (attributes: Readonly<Record<string, HclValue | undefined>>): HclBlock => ({
    type: 'provisioner',
    labels: ['shell'],
    comment,
    attributes: { ...attributes, ...common },
  })
  switch (step.kind) {
    case 'shell': {
      const what = 'file' in step.source ? { script: { raw: `"\${path.root}/${step.source.file}"` } } : { inline: [step.source.text] }
      return [shell({ ...what, execute_command: step.as === 'root' ? asRoot : undefined })]
    }
    case 'copy':
      return copySteps(step, { comment, shell })
    case 'reboot':
      return [
        shell({ inline: ['sudo -n shutdown -r now'], expect_disconnect: true }),
        { ...shell({ inline: ['true'], pause_before: '15s' }), comment: `${comment}, until the guest answers again` },
      ]
    case 'packages':
      return [shell({ inline: [installLine(step.manager, step.list)] })]
    case 'download':
      return [shell({ inline: [downloadScript(step, lock)] })]
  }
}

/** A word of a shell, whatever is in it; `~/` stays the home. */
function word(text: string): string {
  return text.startsWith('~/') ? `"$HOME"/${shellWords([text.slice(2)])}` : shellWords([text])
}

interface CopyParts {
  readonly comment: string
  readonly shell: (attributes: Readonly<Record<string, HclValue | undefined>>) => HclBlock
}

function copySteps({ from, to, mode, owner }: StepOf<'copy'>, { comment, shell }: CopyParts): readonly HclBlock[] {
  const staged = '/tmp/cidery-copy'
  const lines = [
    `sudo -n mkdir -p "$(dirname ${word(to)})"`,
    `sudo -n rm -rf ${word(to)}`,
    `sudo -n mv ${staged} ${word(to)}`,
    `sudo -n chown -R ${word(owner)} ${word(to)}`,
    // Folders can be entered by those who can read them.
    `sudo -n find ${word(to)} -type f -exec chmod ${mode} {} +`,
    `sudo -n find ${word(to)} -type d -exec chmod ${mode.replaceAll(/[4-7]/g, (digit) => String(Number(digit) | 1))} {} +`,
  ]
  return [
    { type: 'provisioner', labels: ['file'], comment, attributes: { source: { raw: `"\${path.root}/${from}"` }, destination: staged } },
    shell({ inline: lines }),
  ]
}

const installers: Readonly<Record<PackageManager, { readonly command: string; readonly between: string }>> = {
  apt: { command: 'DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends', between: '=' },
  brew: { command: 'HOMEBREW_NO_AUTO_UPDATE=1 brew install', between: '' },
  cask: { command: 'HOMEBREW_NO_AUTO_UPDATE=1 brew install --cask', between: '' },
  npm: { command: 'npm install --global', between: '@' },
  // Pythons of brew and Debian say that they are not to be touched; in an image there is nobody else.
  pip: { command: 'PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install', between: '==' },
  cargo: { command: 'cargo install --locked', between: '@' },
}

function installLine(manager: PackageManager, list: readonly string[]): string {
  const { command, between } = installers[manager]
  const words = list.map((text) => {
    const { name, version } = packageOf(manager, text)
    return word(version === null ? name : `${name}${between}${version}`)
  })
  const asRoot = managerRunsAs[manager] === 'root' ? 'sudo -n env PATH="$PATH" ' : ''
  return `${asRoot}${command} ${words.join(' ')}`
}

function downloadScript({ url, to }: StepOf<'download'>, lock: RecipeLock): string {
  const sha256 = lock.downloads.find((entry) => entry.url === url)?.sha256
  if (sha256 === undefined) {
    throw new CideryError('CONFLICT', `the lock of ${lock.recipe} has no SHA-256 of ${url}`, {
      hint: 'cidery image lock on the file of the recipe',
    })
  }
  const part = word(`${to}.part`)
  const fetched = `curl --fail --silent --show-error --location --proto '=https,http' --output ${part} ${word(url)}`
  return `mkdir -p "$(dirname ${word(to)})" && ${fetched} && echo '${sha256}  '${part} | shasum -a 256 --check --status && mv ${part} ${word(to)}`
}

/** Exact versions by what the check prints; of ranges only that the tool is there. */
function toolChecks(tools: readonly Tool[]): readonly HclBlock[] {
  if (tools.length === 0) return []
  const lines = tools.map(({ check, version }) =>
    /^[\d.]+$/.test(version)
      ? `(${check}) 2>&1 | grep -Eq '(^|[^0-9.])${version.replaceAll('.', String.raw`\.`)}([^0-9.]|$)'`
      : `(${check}) > /dev/null 2>&1`,
  )
  const script = lines.map(
    (line, index) => `${line} || { echo ${word(`${tools[index]?.name ?? ''} ${tools[index]?.version ?? ''} is not there`)}; missing=1; }`,
  )
  return [
    {
      type: 'provisioner',
      labels: ['shell'],
      comment: 'All tools, in the versions that the recipe demands.',
      attributes: { inline: ['missing=0', ...script, 'exit $missing'] },
    },
  ]
}
