import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { currentRelease, readUpgrade, releasePlaces, saveUpgrade } from '../drivers/releases/folder/places.ts'
import { identify, lives, type ProcessIdentity } from '../drivers/supervisors/detached/process-identity.ts'
import { formatDuration } from '../model/instant.ts'
import type { Log } from '../ports/log.ts'
import type { Upgrade } from '../ports/releases.ts'
import { agentExitCodes } from './agent.ts'
import { ownRoot } from './own-release.ts'

/** In the environment of a release on trial. */
const trialVariable = 'CIDERY_AGENT_TRIAL'

/** Whether this process is a release on trial. Nothing that it starts is told. */
export function takeTrialMark(): boolean {
  const isTrial = process.env[trialVariable] === '1'
  delete process.env[trialVariable]
  return isTrial
}

export interface TrialOptions {
  readonly stateDir: string
  /** Words of the command line that started this agent, for the next one. */
  readonly words: readonly string[]
  readonly log: Log
}

/** Ends of a new release before it was in sync, after which no more is hoped for. */
const mostTries = 3
const pauseMs = 1000
/** From TERM to KILL, as the service managers have it. */
const endGraceMs = 30_000

/**
 * Leads the trial of a new release, if one is under way: starts it as a child of this process and waits until it is in sync with the controller. If it is not
 * before the deadline, it is ended, and this release goes on. Either way the release that `current` names then takes the place of this process. Resolves with
 * the exit code of a process that was told to stop meanwhile; with null when there is no trial, and this process is the agent itself.
 *
 * Whatever is killed at any moment, the next start takes it up here: `current` names the old release until the new one has proved itself.
 */
export async function leadTrial(options: TrialOptions): Promise<number | null> {
  const stateDir = await realpath(options.stateDir).catch(() => options.stateDir)
  await endOrphan(stateDir, options.log)
  const upgrade = await readUpgrade(stateDir)
  if (upgrade === null || upgrade.failure !== null || upgrade.from.path !== ownRoot || (await isLed(stateDir))) return null
  return lead({ ...options, stateDir }, upgrade)
}

async function lead(options: TrialOptions, upgrade: Upgrade): Promise<number> {
  const { stateDir, log } = options
  const { from, to } = upgrade
  const given = formatDuration(upgrade.deadlineMs)
  log.info('a new release is on trial', { from: from.version, to: to.version, deadline: given })
  const stop = onStop()
  for (let tries = 1; ; tries += 1) {
    if (await isConfirmed(stateDir, upgrade)) return startCurrent(options)
    const leftMs = timeLeft(upgrade)
    if (leftMs <= 0) return rollBack(options, upgrade, `${to.version} was not in sync with the controller within ${given}`)
    const child = startChild(options, upgrade, leftMs)
    await noteTrial(stateDir, child)
    const code = await follow(child, { stop, leftMs, isConfirmed: () => isConfirmed(stateDir, upgrade) })
    await rm(trialFile(stateDir), { force: true })
    if (stop.asked()) return code
    if (timeLeft(upgrade) <= 0 || (await isConfirmed(stateDir, upgrade))) continue
    log.warn('the new release ended before it was in sync', { tries, code })
    if (tries >= mostTries)
      return rollBack(
        options,
        upgrade,
        `${to.version} ended ${tries} times before it was in sync with the controller, the last time with code ${code}`,
      )
    await Promise.race([pause(pauseMs), stop.promise])
    if (stop.asked()) return agentExitCodes.stopped
  }
}

/** Milliseconds left of the deadline; a clock that was set back does not lengthen it. */
function timeLeft({ beganAt, deadlineMs }: Upgrade): number {
  return Math.min(deadlineMs, beganAt + deadlineMs - Date.now())
}

async function isConfirmed(stateDir: string, { to }: Upgrade): Promise<boolean> {
  return basename((await currentRelease(stateDir)) ?? '') === basename(to.path)
}

async function rollBack(options: TrialOptions, upgrade: Upgrade, failure: string): Promise<number> {
  options.log.error('the new release is given up; the old one goes on', { failure })
  await saveUpgrade(options.stateDir, { ...upgrade, failure })
  return startCurrent(options)
}

/** Puts the current release in place of this process: same process id, so that no service manager notices. */
function startCurrent({ stateDir, words, log }: TrialOptions): number {
  const { current } = releasePlaces(stateDir)
  const node = join(current, 'bin', 'node')
  if (existsSync(node) && process.execve !== undefined)
    process.execve(node, [node, join(current, 'bin', 'cidery.js'), ...words], process.env)
  log.error('the current release could not be started from here', { node })
  return agentExitCodes.restart
}

function startChild({ words }: TrialOptions, { to }: Upgrade, leftMs: number): ChildProcess {
  const program = join(to.path, 'bin', 'cidery.js')
  const wait = ['--wait-for-lock', `${Math.ceil(leftMs / 1000)}s`]
  const env = { ...process.env, [trialVariable]: '1' }
  return spawn(join(to.path, 'bin', 'node'), [program, ...words, ...wait], { stdio: 'inherit', env })
}

interface Stop {
  readonly promise: Promise<void>
  asked(): boolean
}

/** Whether this process was told to end; from here on that is what it waits for, and no more what it dies of. */
function onStop(): Stop {
  let isAsked = false
  const promise = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        isAsked = true
        resolve()
      })
    }
  })
  return { promise, asked: () => isAsked }
}

interface Following {
  readonly stop: Stop
  readonly leftMs: number
  readonly isConfirmed: () => Promise<boolean>
}

/** Waits for the end of the release on trial, and brings it about when its time is over or this process is told to stop. Its exit code. */
async function follow(child: ChildProcess, { stop, leftMs, isConfirmed }: Following): Promise<number> {
  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(agentExitCodes.failed))
    child.once('exit', (code) => resolve(code ?? agentExitCodes.failed))
  })
  const given = new AbortController()
  const late = pause(leftMs, 'late' as const, { signal: given.signal }).catch(() => 'late' as const)
  const first = await Promise.race([exited, late, stop.promise.then(() => 'stop' as const)])
  given.abort()
  if (typeof first === 'number') return first
  if (first === 'late' && (await isConfirmed())) {
    // It is the agent of this host now, and ends as one.
    const second = await Promise.race([exited, stop.promise])
    if (typeof second === 'number') return second
  }
  child.kill('SIGTERM')
  const grace = new AbortController()
  const overdue = pause(endGraceMs, undefined, { signal: grace.signal }).then(
    () => child.kill('SIGKILL'),
    () => false,
  )
  const code = await exited
  grace.abort()
  await overdue
  return code
}

/** Who leads a trial and what is on trial, so that the next start knows one that outlived its leader. */
interface TrialProcesses {
  readonly leader: ProcessIdentity | null
  readonly child: ProcessIdentity | null
}

function trialFile(stateDir: string): string {
  return join(releasePlaces(stateDir).releases, 'trial.json')
}

async function noteTrial(stateDir: string, child: ChildProcess): Promise<void> {
  const processes: TrialProcesses = { leader: identify(process.pid), child: child.pid === undefined ? null : identify(child.pid) }
  await writeFile(trialFile(stateDir), JSON.stringify(processes), { mode: 0o600 })
}

async function readTrial(stateDir: string): Promise<TrialProcesses | null> {
  try {
    return JSON.parse(await readFile(trialFile(stateDir), 'utf8')) as TrialProcesses
  } catch {
    // No trial, or one whose leader died while it wrote: its child then ends by the deadline of its lock, or is the agent.
    return null
  }
}

/** Whether another process leads the trial: this one was started beside it, and is an agent like any other. */
async function isLed(stateDir: string): Promise<boolean> {
  const leader = (await readTrial(stateDir))?.leader ?? null
  return leader !== null && leader.pid !== process.pid && lives(leader)
}

/** Ends a release on trial whose leader was killed: nobody would wait for it, and it holds what the next agent needs. */
async function endOrphan(stateDir: string, log: Log): Promise<void> {
  const child = (await readTrial(stateDir))?.child ?? null
  if (child === null || (await isLed(stateDir)) || !lives(child)) return
  log.warn('a release on trial outlived the process that led it, and is ended', { pid: child.pid })
  await endByIdentity(child, 'SIGTERM', endGraceMs)
  await endByIdentity(child, 'SIGKILL', endGraceMs)
  await rm(trialFile(stateDir), { force: true })
}

async function endByIdentity(identity: ProcessIdentity, signal: NodeJS.Signals, limitMs: number): Promise<void> {
  if (!lives(identity)) return
  try {
    process.kill(identity.pid, signal)
  } catch {
    // Gone since the look.
  }
  for (let waited = 0; waited < limitMs && lives(identity); waited += 50) await pause(50)
}
