import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { machineFeatures } from '../../model/job.ts'
import type { Cli } from '../cli.ts'
import type { JobRequest } from '../client/submit.ts'
import type { OptionDeclaration } from '../declare.ts'
import { UsageError } from '../usage-error.ts'
import { durationOption, integerOption, numberOption, pairsOption, sizeOption } from '../values.ts'

/** Options of `run` and `job submit`. */
export interface JobOptions {
  readonly queue?: string
  readonly engine?: string
  readonly image?: string
  readonly source?: string
  readonly transfer?: string
  readonly artifact?: readonly string[]
  readonly env?: readonly string[]
  readonly secret?: readonly string[]
  readonly label?: readonly string[]
  readonly cpu?: string
  readonly memory?: string
  readonly disk?: string
  readonly priority?: string
  readonly timeout?: string
  readonly retries?: string
  readonly name?: string
  readonly network?: string
  readonly require?: readonly string[]
}

export const jobOptions: readonly OptionDeclaration[] = [
  { flags: '--queue <name>', about: 'queue to put it in (default: default)', completes: 'queue' },
  { flags: '--engine <engine>', about: 'user, qemu or tart (default: that of the queue)', completes: ['user', 'qemu', 'tart'] },
  { flags: '--image <image>', about: 'golden image to start from' },
  {
    flags: '--source <source>',
    about: 'files for the work directory: a directory, a git URL#COMMIT, or none (default: none)',
    completes: 'directory',
  },
  {
    flags: '--transfer <mode>',
    about: 'how a directory gets there: sync (uploaded, default) or mount (one of the host, read-only, at $CIDERY_SOURCE)',
    completes: ['sync', 'mount'],
  },
  { flags: '--artifact <glob>', about: 'files to keep when the command ended', many: true },
  { flags: '--env <name[=value]>', about: 'variable for the command; without a value, as it is here', many: true },
  { flags: '--secret <name>', about: 'secret of the queue, as a file in $CIDERY_SECRETS', many: true, completes: 'secret' },
  { flags: '--label <key=value>', about: 'only on hosts with this label', many: true },
  { flags: '--cpu <count>', about: 'CPUs it needs' },
  { flags: '--memory <size>', about: 'memory it needs, for example 2GiB' },
  { flags: '--disk <size>', about: 'disk it needs, for example 10GiB' },
  { flags: '--priority <number>', about: 'from -100 (last) to 100 (first) in its queue' },
  { flags: '--timeout <duration>', about: 'time limit, for example 90s or 1h30m' },
  { flags: '--retries <count>', about: 'how often a fault of the infrastructure is tried again' },
  { flags: '--name <text>', about: 'what people call it' },
  { flags: '--network <mode>', about: 'nat, host or none', completes: ['nat', 'host', 'none'] },
  {
    flags: '--require <feature>',
    about: 'gpu, nested, secureBoot or tpm: refused where the engine does not have it',
    many: true,
    completes: machineFeatures,
  },
]

/** Turns the options into a job; `source` is read by `readSource`. Throws UsageError. */
export function readJobOptions(cli: Pick<Cli, 'env'>, options: JobOptions): JobRequest {
  const shape = {
    cpu: numberOption('--cpu', options.cpu),
    memoryMiB: mebibytes('--memory', options.memory),
    diskMiB: mebibytes('--disk', options.disk),
  }
  const asked = Object.fromEntries(Object.entries(shape).filter(([, value]) => value !== undefined))
  const timeoutMs = durationOption('--timeout', options.timeout)
  return {
    ...given('queue', options.queue),
    ...given('engine', oneOf('--engine', options.engine, ['user', 'qemu', 'tart'])),
    ...given('image', options.image),
    ...given('artifacts', options.artifact === undefined ? undefined : [...options.artifact]),
    ...given('env', options.env === undefined ? undefined : readEnvironment(cli, options.env)),
    ...given('secrets', options.secret === undefined ? undefined : [...options.secret]),
    ...given('labels', pairsOption('--label', options.label)),
    ...given('shape', Object.keys(asked).length === 0 ? undefined : asked),
    ...given('priority', integerOption('--priority', options.priority)),
    ...given('timeoutS', timeoutMs === undefined ? undefined : Math.ceil(timeoutMs / 1000)),
    ...given('retries', integerOption('--retries', options.retries)),
    ...given('name', options.name),
    ...given(
      'requires',
      options.require?.map((text) => known('--require', text, machineFeatures)),
    ),
    ...given('network', oneOf('--network', options.network, ['nat', 'host', 'none'])),
  }
}

/** Leaves the key out when there is no value: the queue's default then holds. */
function given<K extends keyof JobRequest>(key: K, value: JobRequest[K] | undefined): Pick<JobRequest, K> {
  return (value === undefined ? {} : { [key]: value }) as Pick<JobRequest, K>
}

function mebibytes(flag: string, text: string | undefined): number | undefined {
  const bytes = sizeOption(flag, text)
  return bytes === undefined ? undefined : Math.ceil(bytes / 1_048_576)
}

function oneOf<const T extends string>(flag: string, text: string | undefined, accepted: readonly T[]): T | undefined {
  return text === undefined ? undefined : known(flag, text, accepted)
}

function known<const T extends string>(flag: string, text: string, accepted: readonly T[]): T {
  const found = accepted.find((one) => one === text)
  if (found === undefined) throw new UsageError(`${flag} '${text}' is not known`, `one of ${accepted.join(', ')}`)
  return found
}

function readEnvironment(cli: Pick<Cli, 'env'>, words: readonly string[]): Record<string, string> {
  const read: Record<string, string> = {}
  for (const word of words) {
    const at = word.indexOf('=')
    const name = at < 0 ? word : word.slice(0, at)
    const value = at < 0 ? cli.env[name] : word.slice(at + 1)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith('CIDERY_'))
      throw new UsageError(`--env '${name}' is no name a job may set`, 'letters, digits and underscores; CIDERY_ is ours')
    if (value === undefined) throw new UsageError(`--env ${name}: there is no such variable here`, `give it a value: --env ${name}=…`)
    read[name] = value
  }
  return read
}

export type SourceChoice =
  | { readonly kind: 'none' }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'git'; readonly url: string; readonly commit: string }
  | { readonly kind: 'mount'; readonly path: string }

const gitUrl = /^(?:https|http|ssh|git|file):\/\/\S+$|^[\w.-]+@[\w.-]+:\S+$/

/** Reads `--source`. A git URL needs a full commit id: a branch would build something else tomorrow. */
export function readSource(cli: Pick<Cli, 'cwd'>, options: Pick<JobOptions, 'source' | 'transfer'>): SourceChoice {
  const source = readPlace(cli, options.source)
  if (oneOf('--transfer', options.transfer, ['sync', 'mount']) !== 'mount') return source
  if (source.kind === 'directory') return { kind: 'mount', path: source.path }
  throw new UsageError('--transfer mount needs a directory', 'cidery run --source /srv/checkout --transfer mount -- make')
}

function readPlace(cli: Pick<Cli, 'cwd'>, text: string | undefined): SourceChoice {
  if (text === undefined || text === 'none') return { kind: 'none' }
  const hash = text.lastIndexOf('#')
  const url = hash < 0 ? text : text.slice(0, hash)
  if (!gitUrl.test(url)) return { kind: 'directory', path: resolve(cli.cwd, text) }
  const commit = hash < 0 ? '' : text.slice(hash + 1)
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(commit)) return { kind: 'git', url, commit }
  throw new UsageError(`--source ${url} needs a full commit id after #`, `git ls-remote ${url} HEAD shows one`)
}

/** Reads `--script`: a file, or `-` for standard input. */
export async function readScript(cli: Pick<Cli, 'cwd' | 'stdin'>, path: string): Promise<string> {
  const limit = 1_048_576
  if (path === '-') return Buffer.from(await cli.stdin.readAll(limit)).toString('utf8')
  try {
    return await readFile(resolve(cli.cwd, path), 'utf8')
  } catch (cause) {
    throw new UsageError(`--script ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}
