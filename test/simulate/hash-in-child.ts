import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A seed with enough of everything in it that whatever depends on the surroundings would show. */
export const sample = { seed: 20_261, hours: 3, hosts: 6, faultRate: 2 } as const

export interface ChildHash {
  readonly hash: string
  /** What the process takes midnight of 1970 in UTC for. */
  readonly hour: number
  readonly version: string
}

/** Runs the sample in a process of its own. */
export async function hashInChild(node: string, env: Readonly<Record<string, string>>): Promise<ChildHash> {
  const words = [sample.seed, sample.hours, sample.hosts].map(String)
  const { stdout } = await promisify(execFile)(node, [join(import.meta.dirname, 'hash.child.ts'), ...words], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
  })
  return JSON.parse(stdout) as ChildHash
}
