import { chmod, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import type { AgentIdentity, AgentJournal, JournalKind } from '../../../ports/agent.ts'

const kinds = ['attempt', 'operation', 'sandbox', 'build'] as const satisfies readonly JournalKind[]
const id = /^[A-Za-z0-9_-]{1,100}$/

/**
 * The agent's journal as a folder that only its user reads (0700, files 0600): `identity.json`, `seen.json`, and one file per record. Each write
 * is whole and on disk before it resolves, or it did not happen.
 */
export async function openFolderJournal(folder: string): Promise<AgentJournal> {
  for (const path of [folder, ...kinds.map((kind) => join(folder, `${kind}s`))]) {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await chmod(path, 0o700)
    await removeParts(path)
  }
  let part = 0

  async function write(path: string, value: unknown): Promise<void> {
    part += 1
    const temporary = `${path}.${part}.part`
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify(value))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(join(path, '..'))
  }

  function pathOf(kind: JournalKind, name: string): string {
    if (!id.test(name)) throw new CideryError('INVALID_INPUT', `${JSON.stringify(name)} is not an id`)
    return join(folder, `${kind}s`, `${name}.json`)
  }

  return {
    identity: async () => (await read(join(folder, 'identity.json'))) as AgentIdentity | null,
    async saveIdentity(identity) {
      await write(join(folder, 'identity.json'), identity)
      await rm(join(folder, 'enrolment.json'), { force: true })
    },
    async enrolmentKey() {
      const pending = (await read(join(folder, 'enrolment.json'))) as { readonly key: string } | null
      return pending?.key ?? null
    },
    saveEnrolmentKey: (key) => write(join(folder, 'enrolment.json'), { key }),
    async seen() {
      const seen = (await read(join(folder, 'seen.json'))) as { readonly epoch: number; readonly generation: number } | null
      return seen ?? { epoch: 0, generation: 0 }
    },
    saveSeen: (seen) => write(join(folder, 'seen.json'), seen),
    async list(kind) {
      const records = new Map<string, unknown>()
      for (const name of (await readdir(join(folder, `${kind}s`))).toSorted()) {
        if (!name.endsWith('.json')) continue
        records.set(name.slice(0, -'.json'.length), await read(join(folder, `${kind}s`, name)))
      }
      return records
    },
    put: (kind, name, record) => write(pathOf(kind, name), record),
    async remove(kind, name) {
      const path = pathOf(kind, name)
      await rm(path, { force: true })
      await syncFolder(join(path, '..'))
    },
  }
}

/** What a crash left between writing and renaming. */
async function removeParts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith('.part')) await rm(join(folder, name), { force: true })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Null when there is no such file. INTERNAL when it cannot be read: files are written whole, so somebody else changed it. */
async function read(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new CideryError('INTERNAL', `${path} was changed and cannot be read`, { cause, hint: 'move it away and start the agent again' })
  }
}
