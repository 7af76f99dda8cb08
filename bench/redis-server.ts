import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../test/e2e/free-port.ts'
import { Connection } from './agents.ts'

export interface RedisServer {
  readonly port: number
  stop(): Promise<void>
}

/** A Redis of this benchmark alone, on loopback, that syncs its log before each answer: what it accepted survives a power cut, as with us. */
export async function startRedis(): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'cidery-redis-'))
  const port = await freePort()
  const settings = [
    '--bind',
    '127.0.0.1',
    '--port',
    String(port),
    '--dir',
    directory,
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
  ]
  const child = spawn('redis-server', settings, { stdio: 'ignore' })
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await ended
    }
    rmSync(directory, { recursive: true, force: true })
  }
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      const connection = await Connection.open(port)
      connection.close()
      return { port, stop }
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) {
        await stop()
        throw new Error('redis-server did not start', { cause: error })
      }
      await new Promise((resolve) => void setTimeout(resolve, 50))
    }
  }
}
