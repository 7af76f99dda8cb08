import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import { StoredImageId } from '../../../model/image/stored.ts'
import type { Shape } from '../../../model/shape.ts'
import type { RecordStore } from '../records.ts'
import type { Around } from './door.ts'
import { imageDirectory, isMachine, machineDirectory, type ImageRecord } from './image-record.ts'
import { releaseProblem } from './releases.ts'
import type { TartEngineConfig } from './settings.ts'

/** What of a machine's config.json the engine looks at. Tart's own `get` does not tell the least that a machine needs. */
const Config = z.object({
  os: z.enum(['darwin', 'linux']),
  cpuCountMin: z.number(),
  memorySizeMin: z.number(),
  macAddress: z.string(),
  diskFormat: z.string().default('raw'),
})

function configOf({ home }: TartEngineConfig, name: string): z.infer<typeof Config> {
  return Config.parse(JSON.parse(readFileSync(`${home}/vms/${name}/config.json`, 'utf8')))
}

/** The hardware address of a machine's network, in lower case and with all its zeros. */
export function hardwareAddress(config: TartEngineConfig, name: string): string {
  return configOf(config, name).macAddress.toLowerCase()
}

const mib = 1024 * 1024
const gigabyte = 1000 ** 3

/** What the engine's images are looked up in. */
export interface KnownImages {
  readonly config: TartEngineConfig
  readonly images: RecordStore<ImageRecord>
}

/** The record of a build of this host that is whole; null when it has none of that name. */
export function storedRecord({ config, images }: KnownImages, id: string): ImageRecord | null {
  if (!StoredImageId.safeParse(id).success) return null
  const record = images.get(id)
  return record?.phase === 'whole' && isMachine(imageDirectory(config, record)) ? record : null
}

/** What Tart calls the image that a job asks for: the operator's, else that of a stored build. UNSUPPORTED when this host does not know it. */
export function sourceOf(known: KnownImages, image: string | null): string {
  const source = image === null ? undefined : (known.config.images.get(image) ?? storedRecord(known, image)?.name)
  if (source !== undefined) return source
  const names = [...known.config.images.keys()].join(', ')
  throw new CideryError('UNSUPPORTED', image === null ? 'a machine needs an image' : `this host has no image ${image}`, {
    hint:
      names === ''
        ? 'build or pull one (cidery image), or name images in engines.tart.images of agent.yaml'
        : `images of this host: ${names}`,
  })
}

/** Why a machine of this image could not be made now, or null. */
export async function imageProblem({ config, tart, images }: Around & KnownImages, image: string | null): Promise<string | null> {
  let source: string
  try {
    source = sourceOf({ config, images }, image)
  } catch (error) {
    return (error as Error).message
  }
  if (image !== null && !config.images.has(image)) return releaseProblem(config, storedRecord({ config, images }, image)?.metadata ?? null)
  if ((await tart.list()).some(({ Name }) => Name === source)) return null
  return `the image ${image ?? ''} is not on this host: tart ${source.includes('/') ? `pull ${source}` : `clone … ${source}`}`
}

/** What of a config.json every clone reads, of every machine there is. */
const Cloned = z.looseObject({ os: z.string(), macAddress: z.string() })

/** Machines of whose config.json Tart can make nothing: one such, a person's or nobody's, and nothing on this host can be cloned. */
export function brokenMachines({ home }: Pick<TartEngineConfig, 'home'>): readonly string[] {
  const vms = `${home}/vms`
  const names = existsSync(vms) ? readdirSync(vms) : []
  return names.filter((name) => {
    const directory = machineDirectory({ home }, name)
    // Tart passes over what lacks a file.
    if (!isMachine(directory)) return false
    try {
      return !Cloned.safeParse(JSON.parse(readFileSync(`${directory}/config.json`, 'utf8'))).success
    } catch (error) {
      // One that was deleted since the look is no machine.
      return (error as NodeJS.ErrnoException).code !== 'ENOENT'
    }
  })
}

/** In words for people, with the cure; null when every machine can be read. */
export function brokenMachinesProblem(config: Pick<TartEngineConfig, 'home'>): string | null {
  const files = brokenMachines(config).map((name) => `${machineDirectory(config, name)}/config.json`)
  return files.length === 0 ? null : `nothing can be cloned until this is repaired or removed: ${files.join(', ')}`
}

/** What a machine runs, and words for `tart set` that give it what was asked, or the least that its system takes. */
export function fitting(
  config: TartEngineConfig,
  name: string,
  shape: Shape,
): { readonly os: 'darwin' | 'linux'; readonly words: readonly string[]; readonly notes: readonly string[] } {
  const { os, cpuCountMin, memorySizeMin } = configOf(config, name)
  const cpu = Math.max(Math.ceil(shape.cpu), os === 'darwin' ? cpuCountMin : 1)
  const memory = Math.max(shape.memoryMiB, os === 'darwin' ? Math.ceil(memorySizeMin / mib) : 1)
  const more = [
    ...(cpu > Math.ceil(shape.cpu) ? [`${cpu} processors`] : []),
    ...(memory > shape.memoryMiB ? [`${memory} MiB of memory`] : []),
  ]
  return {
    os,
    words: ['--cpu', String(cpu), '--memory', String(memory)],
    notes: more.length === 0 ? [] : [`the machine has ${more.join(' and ')}: its system takes no less`],
  }
}

const Disk = z.object({ Disk: z.number() })

/** Words for `tart set` that make a disk as large as asked, in whole gigabytes as Tart counts; none where it is already: a disk only ever grows. */
export async function growing({ config, tart }: Around, name: string, diskMiB: number): Promise<readonly string[]> {
  const wanted = diskMiB * mib
  const { diskFormat } = configOf(config, name)
  // The file of another format than raw is smaller than the disk that is in it.
  const now =
    diskFormat === 'raw'
      ? statSync(`${machineDirectory(config, name)}/disk.img`).size
      : Disk.parse(JSON.parse(await tart.must(['get', name, '--format', 'json']))).Disk * gigabyte
  return wanted > now ? ['--disk-size', String(Math.ceil(wanted / gigabyte))] : []
}
