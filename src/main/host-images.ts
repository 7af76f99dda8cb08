import { join } from 'node:path'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { createLog } from '../drivers/logs/log.ts'
import { writeToStderr } from '../drivers/logs/stderr.ts'
import { LocalProcesses } from '../drivers/processes/local-processes.ts'
import { createIds } from '../drivers/randoms/ids.ts'
import { createSystemRandom } from '../drivers/randoms/system-random.ts'
import type { RegistryClient } from '../drivers/registries/make-registry.ts'
import { CideryError } from '../model/errors.ts'
import { parseImageReference, type ImageReference } from '../model/image/reference.ts'
import type { StoredImage } from '../model/image/stored.ts'
import type { Engine } from '../ports/engine.ts'
import type { ImageEngine } from '../ports/images.ts'
import type { HeldLock } from '../ports/lock.ts'
import type { Log } from '../ports/log.ts'
import { readAgentConfig } from './agent-config.ts'
import { makeEngines } from './agent-engines.ts'
import { makeRegistry } from './agent-registry.ts'

const clock = createSystemClock()
const random = createSystemRandom()

/** Tells what somebody should look at, and nothing else: a person watches. */
export const quietLog = createLog({ clock, write: writeToStderr, format: 'text', level: 'warn' })

/** What images need of this process, on the machine's own time. */
export const imagePorts = {
  clock,
  random,
  timers: createSystemTimers(),
  processes: new LocalProcesses(),
  ids: createIds(clock, random),
}

/** The images of this host, without a controller. To be closed. */
export interface HostImages {
  readonly stateDir: string
  readonly engines: readonly ImageEngine[]
  readonly registry: RegistryClient
  readonly log: Log
  close(): Promise<void>
}

export interface HostImagesOptions {
  /** Of the agent of this host. */
  readonly stateDir: string
  /** Something is to be changed: nobody else may do that meanwhile. AGENT_LOCKED when an agent runs here. */
  readonly exclusive: boolean
  /** Nothing is done with images of another engine. */
  readonly engine?: string | undefined
}

/** Opens the images of the host whose agent has this directory. UNSUPPORTED when no engine of it has images. */
export async function openHostImages({ stateDir, exclusive, engine }: HostImagesOptions): Promise<HostImages> {
  const { engines: settings, registries } = await readAgentConfig(stateDir)
  const lock = exclusive ? await lockHost(stateDir) : null
  const log = quietLog
  const registry = makeRegistry(registries ?? {}, { ...imagePorts, log })
  const engines = [...makeEngines({ stateDir, engines: settings, log, registry }).values()].filter(hasImages)
  async function close(): Promise<void> {
    registry.close()
    await lock?.release()
  }
  try {
    requireEngines(engines, stateDir)
    const chosen = engine === undefined ? engines : [engineOf({ engines }, engine)]
    return { stateDir, engines: chosen, registry, log, close }
  } catch (error) {
    await close()
    throw error
  }
}

function requireEngines(engines: readonly ImageEngine[], stateDir: string): void {
  if (engines.length > 0) return
  throw new CideryError('UNSUPPORTED', `no engine of this host has images: ${join(stateDir, 'agent.yaml')} names neither qemu nor tart`, {
    hint: 'write `engines: { qemu: {} }` or `engines: { tart: {} }` there',
  })
}

async function lockHost(stateDir: string): Promise<HeldLock> {
  try {
    return await createKernelLock().acquire(join(stateDir, 'agent.lock'), 'agent')
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'AGENT_LOCKED') throw error
    throw new CideryError('AGENT_LOCKED', `the agent of this host runs, and images are its own: ${error.message}`, {
      hint: 'ask its controller (the same command without --local), or stop the agent',
      cause: error,
    })
  }
}

function hasImages(engine: Engine): engine is ImageEngine {
  return 'images' in engine && 'builder' in engine
}

/** The engine that is named, or the only one. */
export function engineOf({ engines }: Pick<HostImages, 'engines'>, name: string | undefined): ImageEngine {
  const names = engines.map((engine) => engine.name)
  const found = name === undefined && engines.length === 1 ? engines[0] : engines.find((engine) => engine.name === name)
  if (found !== undefined) return found
  throw new CideryError(
    'INVALID_INPUT',
    name === undefined ? 'this host has several engines with images' : `this host has no engine ${name} with images`,
    {
      hint: `--engine ${names.join(' or --engine ')}`,
      problems: [{ path: 'engine', message: 'one of the engines of this host', accepted: names }],
    },
  )
}

/** All images of a host, by id. */
export async function listImages({ engines }: HostImages): Promise<readonly StoredImage[]> {
  const lists = await Promise.all(engines.map((engine) => engine.images.list()))
  return lists.flat().toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** An image by its id or its name, and its engine; NOT_FOUND. */
export async function findImage(
  { engines }: HostImages,
  wanted: string,
): Promise<{ readonly engine: ImageEngine; readonly image: StoredImage }> {
  for (const engine of engines) {
    const image = (await engine.images.list()).find(({ id, metadata }) => id === wanted || metadata?.name === wanted)
    if (image !== undefined) return { engine, image }
  }
  throw new CideryError('NOT_FOUND', `this host has no image ${wanted}`, { hint: 'cidery image ls --local' })
}

/** A reference with its digest; a tag is asked for once. NOT_FOUND when there is no such name. */
export async function pinned(
  { registry }: Pick<HostImages, 'registry'>,
  text: string,
  signal: AbortSignal,
): Promise<ImageReference & { readonly digest: string }> {
  const reference = parseImageReference(text)
  if (reference.digest !== null) return { ...reference, digest: reference.digest }
  const found = await registry.resolve(reference, reference.tag ?? 'latest', signal)
  if (found !== null) return { ...reference, digest: found.digest }
  throw new CideryError('NOT_FOUND', `the registry has no image ${text}`, { hint: 'look at its tags, or at the credentials of this host' })
}
