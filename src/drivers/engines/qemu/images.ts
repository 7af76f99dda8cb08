import { accessSync, constants, existsSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { QemuEngineConfig } from './settings.ts'

/** Files of an image. */
export interface Image {
  readonly kernel: string
  readonly initramfs: string
  readonly disk: string
  readonly format: 'raw' | 'qcow2'
}

/** Where builds are kept, and layers of builds. */
export function imagesDirectory({ stateDir }: Pick<QemuEngineConfig, 'stateDir'>): string {
  return `${stateDir}/images`
}

/** The folder of an image, whether it is there or not: the operator's, else that of a stored build. */
export function imageFolder(config: QemuEngineConfig, name: string): string {
  return config.images.get(name) ?? `${imagesDirectory(config)}/${name}`
}

/** The files of a folder. A build has a plain disk, which transfers write anywhere in; the operator's may be compressed. */
export function partsOf(folder: string): Image {
  const raw = `${folder}/disk.raw`
  const isRaw = existsSync(raw)
  return {
    kernel: `${folder}/vmlinuz`,
    initramfs: `${folder}/initramfs`,
    disk: isRaw ? raw : `${folder}/disk.qcow2`,
    format: isRaw ? 'raw' : 'qcow2',
  }
}

/** Why no machine can start from this image now, or null. */
export function imageProblem(config: QemuEngineConfig, name: string | null): string | null {
  if (name === null) return 'the qemu engine boots images: a job has to name one'
  const folder = imageFolder(config, name)
  if (!config.images.has(name) && !existsSync(folder)) return `this host has no image ${name}`
  const { kernel, initramfs, disk } = partsOf(folder)
  for (const path of [kernel, initramfs, disk]) {
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
  if (problem === null) return partsOf(imageFolder(config, name ?? ''))
  const known = [...config.images.keys()].join(', ')
  throw new CideryError('UNSUPPORTED', problem, {
    hint:
      known === ''
        ? 'build or pull one (cidery image), or name images in engines.qemu.images of agent.yaml'
        : `images of this host: ${known}`,
  })
}
