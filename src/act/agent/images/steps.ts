import { CideryError } from '../../../model/errors.ts'
import { stepTimeout } from '../../../model/image/recipe.ts'
import type { Step, StepOf } from '../../../model/image/step.ts'
import { second } from '../../../model/instant.ts'
import { messageOf } from '../outcome.ts'
import type { Build } from './build-request.ts'
import { mustRun, type Guest } from './command.ts'
import { packagesScript } from './guest-scripts.ts'

/** What a step needs. `restart` shuts the guest down and starts it again. */
export interface StepScene {
  readonly build: Build
  readonly guest: Guest
  readonly restart: (limitMs: number) => Promise<void>
}

/** Pause before a step is tried again; doubles each time. */
const firstPause = 5 * second

/** Runs one step, and again as often as it may; the error of the last try names the step. */
export async function runStep(scene: StepScene, step: Step): Promise<void> {
  const { build } = scene
  for (let tried = 0; ; tried += 1) {
    build.log.line(`step ${step.name} (${step.kind})${tried === 0 ? '' : `, try ${tried + 1}`}`)
    try {
      await kinds[step.kind](scene, step as never)
      return
    } catch (error) {
      build.signal.throwIfAborted()
      if (tried >= step.retries) throw error
      build.log.line(messageOf(error))
      await build.ports.timers.sleep(firstPause * 2 ** tried, build.signal)
    }
  }
}

type Run<K extends Step['kind']> = (scene: StepScene, step: StepOf<K>) => Promise<void>

const kinds: { readonly [K in Step['kind']]: Run<K> } = {
  shell: runShell,
  copy: runCopy,
  reboot: ({ build, restart }, step) => restart(stepTimeout(build.request.recipe, step)),
  packages: runPackages,
  download: runDownload,
}

const what = (step: Step): string => `the step ${step.name}`

/** A text with a first line of its own is a program of any language; any other stops at the first command that fails. */
async function runShell({ build, guest }: StepScene, step: StepOf<'shell'>): Promise<void> {
  const limits = { asRoot: step.as === 'root', limitMs: stepTimeout(build.request.recipe, step), what: what(step) }
  const text = 'text' in step.source ? step.source.text : null
  if (text !== null && !text.startsWith('#!')) {
    await mustRun(guest, { ...limits, script: `set -e\n${text}` })
    return
  }
  const script = 'd=$(mktemp -d); trap \'rm -rf "$d"\' EXIT; cat >"$d/step"; chmod 700 "$d/step"; "$d/step" </dev/null'
  await mustRun(guest, { ...limits, script, input: text === null ? await openFile(build, step) : Buffer.from(text) })
}

async function openFile({ request }: Build, { source, name }: StepOf<'shell'>): Promise<AsyncIterable<Uint8Array>> {
  const path = 'file' in source ? source.file : ''
  const file = await request.ingredients.file(path)
  if (file.kind === 'file') return file.open()
  throw new CideryError('INVALID_INPUT', `the step ${name} runs ${path}, which is a folder`)
}

async function runPackages({ build, guest }: StepScene, step: StepOf<'packages'>): Promise<void> {
  const { recipe, ingredients } = build.request
  const { text, asRoot } = packagesScript(step, (key) => ingredients.packageVersion(key))
  await mustRun(guest, { script: text, asRoot, limitMs: stepTimeout(recipe, step), what: what(step) })
}

/** `~/` is the home of the job's account. */
function pathInside({ home }: Guest, path: string): string {
  return path.startsWith('~/') ? `${home}/${path.slice(2)}` : path
}

const place = 'set -eu; umask 022; mkdir -p -- "$(dirname -- "$1")"'

async function runCopy({ build, guest }: StepScene, step: StepOf<'copy'>): Promise<void> {
  const source = await build.request.ingredients.file(step.from)
  const words = [pathInside(guest, step.to), step.mode, step.owner]
  const limitMs = stepTimeout(build.request.recipe, step)
  if (source.kind === 'file') {
    const script = `${place}; cat >"$1.cidery-part"; chown -- "$3" "$1.cidery-part"; chmod -- "$2" "$1.cidery-part"; mv -f -- "$1.cidery-part" "$1"`
    await mustRun(guest, { script, words, asRoot: true, limitMs, what: what(step), input: source.open() })
    return
  }
  // Folders are entered where their files are read.
  const script = `${place}; mkdir -p -- "$1"; tar -x -f - -C "$1" --no-same-owner; chown -R -- "$3" "$1"; chmod -R -- "$2" "$1"; find "$1" -type d -exec sh -c 'for d; do m=$(printf %s "$0" | tr 4567 5577); chmod -- "$m" "$d"; done' "$2" {} +`
  await mustRun(guest, { script, words, asRoot: true, limitMs, what: what(step), input: source.pack() })
}

/** The bytes were proved by whoever has them: they are what the lock says. */
async function runDownload({ build, guest }: StepScene, step: StepOf<'download'>): Promise<void> {
  const limitMs = stepTimeout(build.request.recipe, step)
  const input = await build.request.ingredients.download(step.url, build.signal)
  const to = pathInside(guest, step.to)
  const script = `${place}; cat >"$1.cidery-part"; mv -f -- "$1.cidery-part" "$1"`
  await mustRun(guest, { script, words: [to], asRoot: true, limitMs, what: what(step), input })
}
