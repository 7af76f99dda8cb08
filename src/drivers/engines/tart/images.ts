import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { Shape } from '../../../model/shape.ts'
import type { Around } from './door.ts'
import type { TartEngineConfig } from './settings.ts'

/** What of a machine's config.json the engine looks at. Tart's own `get` does not tell the least that a machine needs. */
const Config = z.object({
  os: z.enum(['darwin', 'linux']),
  cpuCountMin: z.number(),
  memorySizeMin: z.number(),
  macAddress: z.string(),
})

function configOf({ home }: TartEngineConfig, name: string): z.infer<typeof Config> {
  return Config.parse(JSON.parse(readFileSync(`${home}/vms/${name}/config.json`, 'utf8')))
}

/** The hardware address of a machine's network, in lower case and with all its zeros. */
export function hardwareAddress(config: TartEngineConfig, name: string): string {
  return configOf(config, name).macAddress.toLowerCase()
}

const mib = 1024 * 1024

/** What Tart calls the image that a job asks for; UNSUPPORTED when this host does not know it. */
export function sourceOf(config: TartEngineConfig, image: string | null): string {
  const known = [...config.images.keys()].join(', ')
  const source = image === null ? undefined : config.images.get(image)
  if (source !== undefined) return source
  throw new CideryError('UNSUPPORTED', image === null ? 'a machine needs an image' : `this host has no image ${image}`, {
    hint: known === '' ? 'name images in engines.tart.images of agent.yaml' : `images of this host: ${known}`,
  })
}

/** Why a machine of this image could not be made now, or null. */
export async function imageProblem({ config, tart }: Around, image: string | null): Promise<string | null> {
  let source: string
  try {
    source = sourceOf(config, image)
  } catch (error) {
    return (error as Error).message
  }
  if ((await tart.list()).some(({ Name }) => Name === source)) return null
  return `the image ${image ?? ''} is not on this host: tart ${source.includes('/') ? `pull ${source}` : `clone … ${source}`}`
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
