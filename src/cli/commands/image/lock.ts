import { relative, resolve } from 'node:path'
import type { LockQuestion } from '../../../main/cli-image.ts'
import type { Cli } from '../../cli.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { UsageError } from '../../usage-error.ts'
import { durationOption, pairsOption, sizeOption } from '../../values.ts'
import { withShownPath } from './show.ts'

interface LockCommandOptions {
  readonly check?: boolean
  readonly timeout?: string
  readonly maxSize?: string
  readonly index?: readonly string[]
}

const indexNames = ['brew', 'cask', 'npm', 'pip', 'cargo'] as const

export const lock = command<LockCommandOptions>({
  name: 'lock',
  summary: 'write down what a recipe leaves open: digest of its base, versions of packages, SHA-256 of downloads',
  examples: [
    ['cidery image lock images/debian-12.yaml', 'writes images/debian-12.lock.json'],
    ['cidery image lock macos-15.image.ts --check', 'in CI: exit code 3 when the lock is not full; reads nothing from the network'],
    ['cidery image lock big.image.ts --max-size 40GiB --timeout 2h', 'for large downloads'],
  ],
  details:
    'Every byte of every download is read, and its SHA-256 computed from it; nothing is taken over from an older lock. Plain HTTP is refused but for this machine. A recipe without a full lock is not built.',
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [
    { flags: '--check', about: 'only say what the lock lacks' },
    { flags: '--timeout <duration>', about: 'of each download (default: 30m)' },
    { flags: '--max-size <size>', about: 'of each download (default: 20GiB)' },
    {
      flags: '--index <manager=url>',
      about: `where packages of ${indexNames.join(', ')} are looked up, instead of their public index`,
      many: true,
    },
  ],
  prints: 'view',
  run: (cli, { args: [file = ''], options }) => (options.check === true ? check(cli, file) : write(cli, file, options)),
})

async function check(cli: Cli, file: string): Promise<number> {
  const { reportRecipe } = await import('../../../main/cli-image.ts')
  const { recipe, lockFile, lacks } = await reportRecipe(resolve(cli.cwd, file)).catch(withShownPath(cli, file))
  const shown = relative(cli.cwd, lockFile)
  await printThing(cli, {
    value: { recipe: recipe.name, file: shown, full: lacks.length === 0, lacks },
    name: recipe.name,
    text: () => (lacks.length === 0 ? `✓ ${shown} is full\n` : `✗ ${shown} lacks:\n${lacks.map((lack) => `  ${lack}\n`).join('')}`),
  })
  return lacks.length === 0 ? exitCodes.ok : exitCodes.notEmpty
}

async function write(cli: Cli, file: string, options: LockCommandOptions): Promise<number> {
  const { writeRecipeLock } = await import('../../../main/cli-image.ts')
  const interrupt = new AbortController()
  const stop = cli.onInterrupt(() => interrupt.abort(new UsageError('interrupted; nothing was written')))
  const progress = makeProgress(cli)
  try {
    const written = await writeRecipeLock(resolve(cli.cwd, file), {
      indexes: indexesOf(options.index),
      timeout: durationOption('--timeout', options.timeout) ?? 30 * 60_000,
      maxBytes: sizeOption('--max-size', options.maxSize) ?? 20 * 1024 ** 3,
      signal: interrupt.signal,
      say: (message) => void progress.say(message),
    }).catch(withShownPath(cli, file))
    await progress.clear()
    const { lock: made, changed } = written
    const shown = relative(cli.cwd, written.file)
    await printThing(cli, {
      value: { ...made, file: shown, changed },
      name: made.recipe,
      text: () =>
        `✓ ${shown} ${changed ? 'written' : 'is as it was'}: ${made.downloads.length} downloads, ${made.packages.length} packages\n`,
    })
    return exitCodes.ok
  } finally {
    await progress.clear()
    stop()
  }
}

function indexesOf(words: readonly string[] | undefined): NonNullable<LockQuestion['indexes']> {
  const pairs = pairsOption('--index', words) ?? {}
  const unknown = Object.keys(pairs).find((name) => !(indexNames as readonly string[]).includes(name))
  if (unknown !== undefined) throw new UsageError(`--index: there is no index of '${unknown}'`, `one of ${indexNames.join(', ')}`)
  return pairs
}
