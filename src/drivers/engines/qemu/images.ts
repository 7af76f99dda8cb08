import { accessSync, constants } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { QemuEngineConfig } from './settings.ts'

/** Files of an image. */
export interface Image {
  readonly kernel: string
  readonly initramfs: string
  readonly disk: string
}

function partsOf(folder: string): Image {
  return { kernel: `${folder}/vmlinuz`, initramfs: `${folder}/initramfs`, disk: `${folder}/disk.qcow2` }
}

/** Why no machine can start from this image now, or null. */
export function imageProblem(config: QemuEngineConfig, name: string | null): string | null {
  if (name === null) return 'the qemu engine boots images: a job has to name one'
  const folder = config.images.get(name)
  if (folder === undefined) return `this host has no image ${name}`
  for (const path of Object.values(partsOf(folder)) as string[]) {
    try {
      accessSync(path, constants.R_OK)
    } catch {
      return `the image ${name} is not whole: ${path} cannot be read`
    }
  }
  return null
}

/** The files of an image; UNSUPPORTED when it cannot be used. */
export function imageOf(config: QemuEngineConfig, name: string | null): Image {
  const problem = imageProblem(config, name)
  if (problem === null) return partsOf(config.images.get(name ?? '') ?? '')
  const known = [...config.images.keys()].join(', ')
  throw new CideryError('UNSUPPORTED', problem, {
    hint: known === '' ? 'name images in engines.qemu.images of agent.yaml' : `images of this host: ${known}`,
  })
}
