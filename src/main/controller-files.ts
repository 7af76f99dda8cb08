import { existsSync } from 'node:fs'
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CideryError } from '../model/errors.ts'
import type { CredentialFiles } from '../serve/access/first-admin.ts'

/** What a state directory tells the command line of the same machine. No secret is in it. */
export interface ControllerFile {
  readonly url: string
  readonly caFingerprint: string | null
  readonly pid: number
  readonly instance: string
  readonly version: string
  readonly startedAt: number
}

/** A controller's state directory: what is where, all of it for its owner alone. */
export interface StateDirectory {
  readonly path: string
  readonly database: string
  readonly blobs: string
  readonly lock: string
  readonly tls: string
  readonly journalKey: string
  readonly secretsKey: string
  readonly credentials: CredentialFiles
  writeControllerFile(file: ControllerFile): Promise<void>
  /** Takes the file away, unless another controller wrote its own meanwhile. */
  removeControllerFile(instance: string): Promise<void>
  writeCa(pem: string): Promise<void>
}

/** `make: false`: NOT_FOUND where no controller has been. */
export async function openStateDirectory(path: string, { make } = { make: true }): Promise<StateDirectory> {
  const keys = join(path, 'keys')
  if (!make && !existsSync(join(path, 'state.db'))) {
    throw new CideryError('NOT_FOUND', `there is no state of a controller in ${path}`, {
      hint: 'name its directory with --state or CIDERY_STATE',
    })
  }
  for (const directory of [path, keys]) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await chmod(directory, 0o700)
  }
  const controllerFile = join(path, 'controller.json')
  const tokenFile = join(path, 'admin.token')

  return {
    path,
    database: join(path, 'state.db'),
    blobs: join(path, 'blobs'),
    lock: join(path, 'controller.lock'),
    tls: join(path, 'tls'),
    journalKey: join(keys, 'journal.key'),
    secretsKey: join(keys, 'secrets.key'),
    credentials: {
      readToken: async () => (await readIfThere(tokenFile))?.trim() ?? null,
      saveToken: (token) => writeWhole(tokenFile, `${token}\n`),
      savePassword: (user, password) => writeWhole(join(path, `${user}.password`), `${password}\n`),
    },
    writeControllerFile: (file) => writeWhole(controllerFile, `${JSON.stringify(file, null, 2)}\n`),
    async removeControllerFile(instance) {
      const present = await readIfThere(controllerFile)
      if (present !== null && present.includes(`"${instance}"`)) await rm(controllerFile, { force: true })
    },
    writeCa: (pem) => writeWhole(join(path, 'ca.pem'), pem),
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new CideryError('INTERNAL', `cannot read ${path}`, { cause: error, hint: 'look at its owner and mode' })
  }
}

/** Mode 0600, and never half of it: after a death in the middle there is the old file or the new one. */
export async function writeWhole(path: string, content: string): Promise<void> {
  const partial = `${path}.${process.pid}.new`
  const file = await open(partial, 'w', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(partial, path)
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
