import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PhaseProgress } from '../../src/model/image/phase.ts'

export interface Kill {
  /** Script that says each phase, a line each, as it begins. */
  readonly script: string
  /** What it is told, as JSON in its one word. */
  readonly about: object
  readonly phase: string
  readonly afterMs: number
}

/** Starts a script and kills it so long after it said a phase. Gives the phase that it said last: a machine may be faster than the test thought. */
export async function killAt({ script, about, phase, afterMs }: Kill): Promise<string> {
  const child = spawn(process.execPath, [script, JSON.stringify(about)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  const { promise: reached, resolve } = Promise.withResolvers<void>()
  child.stdout.on('data', (piece: Buffer) => {
    said += piece.toString('utf8')
    if (said.split('\n').includes(phase)) resolve()
  })
  const ended = new Promise<void>((over) => child.once('close', () => over()))
  await Promise.race([reached, ended])
  await Promise.race([sleep(afterMs), ended])
  child.kill('SIGKILL')
  await ended
  return said.trimEnd().split('\n').at(-1) ?? ''
}

/** For the script: says each phase once, as it begins. */
export function sayPhases(): (phases: readonly PhaseProgress[]) => void {
  let said = ''
  return (phases) => {
    const now = phases.at(-1)?.phase ?? ''
    if (now !== said) console.log(now)
    said = now
  }
}
