import { watch, type FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { CideryError } from '../model/errors.ts'
import { second } from '../model/instant.ts'
import type { Log } from '../ports/log.ts'
import type { Timer, Timers } from '../ports/time.ts'

export interface SpecWatchOptions {
  readonly file: string
  readonly timers: Timers
  readonly log: Log
  /** Puts a source in force; throws INVALID_INPUT when it cannot be. */
  readonly apply: (source: string) => Promise<void>
}

/** Editors write in several steps; the file is looked at when it has been quiet for this long. */
const quiet = 200
/** Some file systems do not tell of changes: the file is looked at this often in any case. */
const lookEvery = 5 * second

/** Applies a spec file now, and again whenever its content changed. A file that cannot be applied later leaves the spec as it is. */
export async function watchSpecFile(options: SpecWatchOptions): Promise<{ close(): void }> {
  const { file, timers, log } = options
  let known = await read(file)
  await options.apply(known)
  let timer: Timer | null = null
  let watcher: FSWatcher | null = null
  let closed = false

  async function look(): Promise<void> {
    try {
      const source = await read(file)
      if (source !== known) {
        known = source
        await options.apply(source)
        log.info('the spec file was applied', { file })
      }
    } catch (error) {
      log.error('the spec file could not be applied; the spec stays as it was', { file, error })
    }
    plan(lookEvery)
  }

  function plan(delay: number): void {
    timer?.cancel()
    if (!closed) timer = timers.after(delay, () => void look())
  }

  try {
    // The directory, since editors replace the file.
    watcher = watch(dirname(file), (_event, name) => {
      if (name === null || name === basename(file)) plan(quiet)
    })
    watcher.on('error', (error) => log.warn('the spec file is only looked at now and then', { file, error }))
  } catch (error) {
    log.warn('the spec file is only looked at now and then', { file, error })
  }
  plan(lookEvery)
  return {
    close() {
      closed = true
      timer?.cancel()
      watcher?.close()
    },
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new CideryError('INVALID_INPUT', `cannot read the spec file ${file}`, { cause: error, hint: 'give the path of a cidery.yaml' })
  }
}
