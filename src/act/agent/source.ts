import { CideryError } from '../../model/errors.ts'
import { hour, minute } from '../../model/instant.ts'
import type { ResolvedJob } from '../../model/job.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { EngineSandbox } from '../../ports/engine.ts'
import { downloadBlob } from './download.ts'
import { runInside, type Inside } from './inside.ts'
import { cleanTar, unzstd } from './tar.ts'

export interface SourceDelivery {
  readonly ports: AgentPorts
  readonly inside: Inside
  readonly paths: EngineSandbox['paths']
  readonly job: ResolvedJob
}

const mebibyte = 1024 ** 2
const mostFiles = 2_000_000
const unpackLimit = hour

async function openSource(delivery: SourceDelivery): Promise<AsyncIterable<Uint8Array> | null> {
  const { ports, job, inside } = delivery
  const { source } = job.spec
  switch (source.kind) {
    case 'none':
    // The engine shows it; nothing is copied.
    case 'mount':
      return null
    case 'upload':
      return unzstd(downloadBlob(ports, source.blob, inside.signal))
    case 'git':
      return ports.mirrors.open(source.url, source.commit, inside.signal)
  }
}

/**
 * Puts the job's source into its work directory. It is unpacked inside, as the job's user: what a hostile archive does, it does to
 * this job alone.
 */
export async function deliverSource(delivery: SourceDelivery): Promise<void> {
  const bytes = await openSource(delivery)
  if (bytes === null) return
  const limits = { bytes: Math.max(1, delivery.job.shape.diskMiB) * mebibyte, entries: mostFiles }
  const { work, home } = delivery.paths
  await runInside(delivery.inside, {
    command: { argv: ['tar', '-x', '-f', '-', '--no-same-owner'], env: plainEnvironment(home), cwd: work },
    input: cleanTar(bytes, limits),
    limitMs: unpackLimit,
    what: 'unpack the source',
  })
}

/** What our own short commands inside need, and no more; the last keeps macOS's tar from adding `._` files. */
export function plainEnvironment(home: string): Readonly<Record<string, string>> {
  return { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', HOME: home, LANG: 'C', LC_ALL: 'C', COPYFILE_DISABLE: '1' }
}

/** Puts the job's files into its work directory. */
export async function deliverFiles(delivery: SourceDelivery): Promise<void> {
  const { ports, inside, job, paths } = delivery
  for (const file of job.spec.files) {
    inside.signal.throwIfAborted()
    const path = `${paths.work}/${file.path}`
    const folder = path.slice(0, path.lastIndexOf('/'))
    if (folder !== paths.work) {
      await runInside(inside, {
        command: { argv: ['mkdir', '-p', '--', folder], env: plainEnvironment(paths.home), cwd: paths.work },
        limitMs: minute,
        what: `make the folder of ${file.path}`,
      })
    }
    await inside.engine.putFile(inside.id, path, downloadBlob(ports, file.blob, inside.signal), file.mode)
  }
}

/** Puts the job's secrets into files that only its user reads, on memory where the engine has it. */
export async function deliverSecrets(delivery: SourceDelivery, secrets: Readonly<Record<string, string>>): Promise<void> {
  const { inside, job, paths } = delivery
  for (const name of job.spec.secrets) {
    const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined
    if (value === undefined) {
      throw new CideryError('NOT_FOUND', `the queue has no secret named ${name}`, { hint: `cidery secret set ${name}` })
    }
    await inside.engine.putFile(inside.id, `${paths.secrets}/${name}`, Buffer.from(value), 0o600)
  }
}

/** Puts the job's script into a file and gives its path; null when the job has a command. */
export async function deliverScript(delivery: SourceDelivery): Promise<string | null> {
  const { script } = delivery.job.spec
  if (script === undefined) return null
  const path = scriptPath(delivery.paths)
  await delivery.inside.engine.putFile(delivery.inside.id, path, Buffer.from(script), 0o700)
  return path
}

export function scriptPath(paths: EngineSandbox['paths']): string {
  return `${paths.temporary}/.cidery-script`
}
