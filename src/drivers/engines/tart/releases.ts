import type { ImageMetadata } from '../../../model/image/stored.ts'
import { run } from '../commands.ts'
import type { TartEngineConfig } from './settings.ts'

/** Version of this host's macOS; null where it is none. */
async function hostRelease({ hostRelease: given }: TartEngineConfig): Promise<string | null> {
  if (given !== null) return given()
  if (process.platform !== 'darwin') return null
  const { code, stdout } = await run(['sw_vers', '-productVersion'])
  return code === 0 ? stdout.trim() : null
}

/** Why a guest of an image cannot boot here, or null: Apple's framework boots no macOS that is newer than its host's. */
export async function releaseProblem(config: TartEngineConfig, metadata: ImageMetadata | null): Promise<string | null> {
  if (metadata?.guest.os !== 'macos') return null
  const host = await hostRelease(config)
  const [guestMajor, hostMajor] = [Number.parseInt(metadata.guest.release, 10), Number.parseInt(host ?? '', 10)]
  if (!(guestMajor > hostMajor)) return null
  return `the image ${metadata.build} has macOS ${metadata.guest.release}, and this host runs ${host ?? ''}: Apple boots no guest that is newer than its host`
}
