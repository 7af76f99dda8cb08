import { createHash } from 'node:crypto'
import { pack } from 'tar-stream'
import type { Build, BuildRequest } from '../../src/act/agent/images/build-request.ts'
import { buildProgress } from '../../src/act/agent/images/progress.ts'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { createIds } from '../../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import type { PhaseProgress } from '../../src/model/image/phase.ts'
import { recipeIdentity } from '../../src/model/image/recipe-identity.ts'
import { Recipe, type RecipeInput } from '../../src/model/image/recipe.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import type { Ingredients } from '../../src/ports/ingredients.ts'
import { recordingLog } from '../doubles/recording-log.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const files: Readonly<Record<string, string>> = {
  'install.sh': '#!/usr/bin/perl\nopen(my $out, ">", "/opt/by-perl") or die; print $out "perl\\n";\n',
  greeting: 'echo "hello from the image"\n',
}

/** What a recipe takes in: files of this test. */
const ingredients: Ingredients = {
  file: async (path) =>
    path === 'folder'
      ? { kind: 'folder', pack: packed }
      : {
          kind: 'file',
          async *open() {
            yield Buffer.from(files[path] ?? '')
          },
        },
  async download() {
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('downloaded\n')
    }
    return bytes()
  },
  packageVersion: () => null,
}

function packed(): AsyncIterable<Uint8Array> {
  const archive = pack()
  archive.entry({ name: 'deep/tool', mode: 0o600 }, '#!/bin/sh\necho tool 2.3.4\n')
  archive.finalize()
  return archive as AsyncIterable<Uint8Array>
}

export const layers = [
  {
    name: 'system',
    steps: [
      { name: 'program', shell: { file: 'install.sh' }, as: 'root' },
      { name: 'folder', copy: { from: 'folder', to: '/opt/folder', mode: '0755' } },
      { name: 'again', reboot: {} },
      { name: 'after', shell: 'test -e /opt/by-perl\nuname -r > /opt/after', as: 'root' },
    ],
  },
  {
    name: 'tools',
    steps: [
      { name: 'greeting', copy: { from: 'greeting', to: '/usr/local/bin/greeting', mode: '0755' } },
      { name: 'fetched', download: { url: 'https://example.com/a', to: '/opt/fetched' } },
      { name: 'as the user', shell: 'id -un' },
    ],
  },
] as const satisfies RecipeInput['layers']

export const base: RecipeInput = {
  name: 'debian-12',
  version: '3.6',
  engine: 'qemu',
  base: { debian: 'bookworm' },
  guest: { os: 'debian', release: '12' },
  machine: { cpu: 2, memory: '512MiB', disk: '5GiB' },
  layers: [...layers],
  tools: [
    { name: 'tool', version: '2.3.4', check: '/opt/folder/deep/tool' },
    { name: 'gcc', version: '>=12 <13', check: 'gcc --version' },
  ],
  validation: {
    checks: [
      { name: 'greeting', run: 'greeting', contains: 'hello from the image' },
      { name: 'whole', run: 'cat /opt/fetched /opt/after' },
    ],
  },
  flakiness: { rounds: 2 },
  timeouts: { boot: '5m' },
  tries: 1,
}

const clock = createSystemClock()

export const ports = {
  clock,
  timers: createSystemTimers(),
  processes: new LocalProcesses(),
  ids: createIds(clock, createSystemRandom()),
  log: recordingLog(),
}

/** A build, and what is seen of it. */
export interface SeenBuild extends Build {
  said(): string
  phases(): readonly PhaseProgress[]
}

/** A build of a recipe on the golden disk; `onPhases` is told how far it is. */
export function buildOf(
  id: string,
  { engine, recipe: given, onPhases }: { engine: ImageEngine; recipe: RecipeInput; onPhases?: (phases: readonly PhaseProgress[]) => void },
): SeenBuild {
  const recipe = Recipe.parse(given)
  const identity = recipeIdentity(
    recipe,
    {
      base: 'sha256:golden',
      files: new Map(['folder', ...Object.keys(files)].map((path) => [path, path])),
      downloads: new Map([['https://example.com/a', sha256('downloaded\n')]]),
      packages: new Map(),
    },
    sha256,
  )
  const request: BuildRequest = {
    id,
    name: `debian-12-${id}`,
    recipe,
    identity,
    base: { image: 'debian', reference: 'debian:bookworm', digest: null },
    ingredients,
    productVersion: null,
    hostName: 'builder-1',
    fromBase: false,
    network: 'none',
    blockedAddresses: [],
  }
  let said = ''
  const progress = buildProgress(clock, (phases) => onPhases?.(phases))
  return {
    ports,
    engine,
    request,
    progress,
    log: { line: (text) => (said += `# ${text}\n`), output: (bytes) => (said += Buffer.from(bytes).toString('utf8')) },
    signal: new AbortController().signal,
    owned: () => undefined,
    said: () => said,
    phases: () => progress.phases(),
  }
}
