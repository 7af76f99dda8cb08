import type { ImageEngine } from '../../../ports/images.ts'
import { TartEngine } from './engine.ts'
import { readSettings, type TartEngineSettings } from './settings.ts'

/** The `tart` engine: a machine of macOS for each job, from a clone of an image. */
export function makeTartEngine(settings: TartEngineSettings): ImageEngine {
  return new TartEngine(readSettings(settings), settings.log ?? null)
}
