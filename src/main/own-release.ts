import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { fixedRelease } from '../drivers/releases/fixed-release.ts'
import { manifestName, readManifest } from '../drivers/releases/folder/manifest.ts'
import { openReleases } from '../drivers/releases/folder/release-folder.ts'
import type { Releases } from '../ports/releases.ts'

/** The folder of this cidery: a checkout, an npm package, or an unpacked release. */
export const ownRoot = join(import.meta.dirname, '..', '..')

/** Whether this cidery is a release that brings its own Node. */
export function isRelease(root = ownRoot): boolean {
  return existsSync(join(root, manifestName)) && existsSync(join(root, 'bin', 'node'))
}

/** Where releases of an agent come from. `alone` false: the agent is only a part of its process, which therefore no upgrade can replace. */
export async function releasesOf(stateDir: string, alone: boolean): Promise<Releases> {
  const opened = alone ? await openReleases({ stateDir, root: ownRoot, now: createSystemClock().now }) : null
  if (opened !== null) return opened
  const read = await readManifest(ownRoot)
  const release = { commit: read?.manifest.commit ?? null, path: ownRoot, sha256: read?.sha256 ?? null, operation: null }
  return fixedRelease(
    release,
    alone
      ? 'this agent does not run from a release that it installed itself: unpack an archive of cidery on the host and run its `bin/cidery agent install` once'
      : 'this agent is a part of `cidery up`: end that, and start the new one instead',
  )
}
