import type { ImageEngine } from '../../../ports/images.ts'
import { QemuEngine } from './engine.ts'
import { readSettings, type QemuEngineSettings } from './settings.ts'

/** The `qemu` engine: a Linux machine for each job, from a copy-on-write clone of an image. */
export function makeQemuEngine(settings: QemuEngineSettings): ImageEngine {
  return new QemuEngine(readSettings(settings))
}
