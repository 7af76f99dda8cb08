import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { BuildLogs } from '../../ports/build-logs.ts'

/** A build that says more than this has gone wrong. */
const limitBytes = 256 * 1024 ** 2

const mark = '\n[the log of this build is cut here]\n'

/** Logs of builds as files of a folder (0700), one each. */
export function folderBuildLogs(folder: string): BuildLogs {
  function pathOf(id: string): string {
    if (/^[A-Za-z0-9_-]{1,100}$/.test(id)) return join(folder, `${id}.log`)
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(id)} is not an id`)
  }

  async function length(id: string): Promise<number> {
    try {
      return (await stat(pathOf(id))).size
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
      throw error
    }
  }

  return {
    length,
    async append(id, bytes) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const size = await length(id)
      if (size >= limitBytes) return
      const file = await open(pathOf(id), 'a', 0o600)
      try {
        await file.write(bytes.subarray(0, limitBytes - size))
        if (size + bytes.length >= limitBytes) await file.write(mark)
        await file.datasync()
      } finally {
        await file.close()
      }
    },
    async read(id, offset, limit) {
      const size = await length(id)
      const count = Math.max(0, Math.min(limit, size - offset))
      if (count === 0) return new Uint8Array()
      const file = await open(pathOf(id), 'r')
      try {
        const buffer = Buffer.alloc(count)
        const { bytesRead } = await file.read(buffer, 0, count, offset)
        return buffer.subarray(0, bytesRead)
      } finally {
        await file.close()
      }
    },
    async removeOlder(ageMs) {
      const removed: string[] = []
      for (const name of await readdir(folder).catch(() => [])) {
        const { mtimeMs } = await stat(join(folder, name))
        if (!name.endsWith('.log') || Date.now() - mtimeMs <= ageMs) continue
        await rm(join(folder, name), { force: true })
        removed.push(name.slice(0, -'.log'.length))
      }
      return removed
    },
  }
}
