import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../e2e/free-port.ts'
import { waitFor } from '../e2e/wait.ts'

/** The only user of a registry that asks who is there. */
export const realUser = { username: 'fleet', password: 'only-for-tests' } as const
/** bcrypt of that password, the only kind that the registry reads. */
const htpasswd = 'fleet:$2b$04$F.QG2BxzQ511QCPxVFj5ieMu0UxQzRrSJMLI99QxUOn2lM0vXmYUS\n'

export interface RealRegistryOptions {
  /** Asks for `realUser` by Basic authentication. */
  readonly auth?: boolean
  /** Kept by whoever gives it; without it, one that is removed at the end. */
  readonly folder?: string
}

export interface RealRegistry {
  /** `http://127.0.0.1:port`, and the same without the scheme. */
  readonly url: string
  readonly host: string
  readonly folder: string
  /** Ends it by its pid; what it kept goes with it. Idempotent. */
  stop(): Promise<void>
}

/** Debian's docker-registry (distribution 2.8.2) on loopback, with deletion allowed. */
export async function startRealRegistry(options: RealRegistryOptions = {}): Promise<RealRegistry> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'cidery-registry-'))
  // Somebody else may take the port before the registry does.
  for (let tried = 1; ; tried += 1) {
    try {
      return await start(folder, options)
    } catch (error) {
      if (tried < 3) continue
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }
}

async function start(folder: string, options: RealRegistryOptions): Promise<RealRegistry> {
  const host = `127.0.0.1:${await freePort()}`
  mkdirSync(join(folder, 'storage'), { recursive: true })
  writeFileSync(join(folder, 'htpasswd'), htpasswd)
  writeFileSync(join(folder, 'config.yml'), configOf(folder, host, options.auth === true))
  const log = openSync(join(folder, 'log'), 'a')
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: ['ignore', log, log] })
  closeSync(log)
  let over = false
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      over = true
      resolve()
    }
    child.once('exit', end).once('error', end)
  })

  async function end(): Promise<void> {
    if (over) return
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 5000)
    await ended
    clearTimeout(late)
  }

  try {
    await waitFor('the registry to answer', async () => over || (await fetch(`http://${host}/v2/`)).status < 500, 20_000)
    if (over) throw new Error(`docker-registry ended: ${readFileSync(join(folder, 'log'), 'utf8').slice(-500)}`)
  } catch (error) {
    await end()
    throw error
  }
  return {
    url: `http://${host}`,
    host,
    folder,
    async stop() {
      await end()
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

function configOf(folder: string, host: string, auth: boolean): string {
  const lines = [
    'version: 0.1',
    'log: { level: error, accesslog: { disabled: true } }',
    'storage:',
    `  filesystem: { rootdirectory: ${join(folder, 'storage')} }`,
    '  delete: { enabled: true }',
    `http: { addr: "${host}", secret: only-for-tests }`,
    ...(auth ? [`auth: { htpasswd: { realm: cidery, path: ${join(folder, 'htpasswd')} } }`] : []),
  ]
  return `${lines.join('\n')}\n`
}
