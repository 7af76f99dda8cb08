import { spawn, spawnSync } from 'node:child_process'

/** Takes flock(2) on a path while `work` runs; calls `onWait` first when somebody else has it. The lock's child ends with this process. */
export async function holdingFlock<T>(path: string, work: () => T | Promise<T>, onWait?: () => void): Promise<T> {
  if (onWait !== undefined && isFlocked(path)) onWait()
  const child = spawn('flock', [path, 'sh', '-c', 'echo held; read -r never'], { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`no lock on ${path}`)))
  })
  const released = new Promise((resolve) => {
    child.removeAllListeners('exit')
    child.once('exit', resolve)
  })
  try {
    return await work()
  } finally {
    child.stdin.end()
    await released
  }
}

export function isFlocked(path: string): boolean {
  return spawnSync('flock', ['-n', path, 'true'], { stdio: 'ignore' }).status === 1
}
