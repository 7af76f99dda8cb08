import { readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import type { Upgrade } from '../../../ports/releases.ts'
import { readJson, replaceJson, replaceLink } from './durable.ts'

const Installed = z.object({ version: z.string(), commit: z.string().nullable(), sha256: z.string(), path: z.string() })
const UpgradeFile = z.object({
  operationId: z.string(),
  from: Installed,
  to: Installed,
  beganAt: z.number(),
  deadlineMs: z.number(),
  failure: z.string().nullable(),
})

/** Where an agent keeps its releases: `releases/<version>-<digest>/`, and the link `current` to one of them. */
export function releasePlaces(stateDir: string): { readonly releases: string; readonly current: string; readonly upgrade: string } {
  const releases = join(stateDir, 'releases')
  return { releases, current: join(stateDir, 'current'), upgrade: join(releases, 'upgrade.json') }
}

/** The last upgrade of the agent with this state; null when there was none, or what is there cannot be read. */
export async function readUpgrade(stateDir: string): Promise<Upgrade | null> {
  const found = UpgradeFile.safeParse(await readJson(releasePlaces(stateDir).upgrade).catch(() => null))
  return found.success ? found.data : null
}

export async function saveUpgrade(stateDir: string, upgrade: Upgrade): Promise<void> {
  await replaceJson(releasePlaces(stateDir).upgrade, upgrade)
}

/** Folder of the release that the service starts; null when there is none. */
export async function currentRelease(stateDir: string): Promise<string | null> {
  const { current } = releasePlaces(stateDir)
  return readlink(current).then(
    (target) => join(stateDir, target),
    () => null,
  )
}

export async function pointCurrentAt(stateDir: string, path: string): Promise<void> {
  await replaceLink(releasePlaces(stateDir).current, join('releases', basename(path)))
}
