import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, realpath, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { readJson, replaceJson } from '../drivers/releases/folder/durable.ts'
import { currentRelease, readUpgrade, releasePlaces, saveUpgrade } from '../drivers/releases/folder/places.ts'
import { identify, lives, type ProcessIdentity } from '../drivers/supervisors/detached/process-identity.ts'
import { formatDuration } from '../model/instant.ts'
import type { Log } from '../ports/log.ts'
import type { Upgrade } from '../ports/releases.ts'
import { agentExitCodes } from './agent.ts'
import { ownRoot } from './own-release.ts'

/** In the environment of a release on trial: the process that leads it, as JSON. */
const trialVariable = 'CIDERY_AGENT_TRIAL'

/**
 * Whether this process is a release on trial. If so, that is written down before it takes any lock, so that the next start finds it if its leader is
 * killed. Nothing that it starts is told.
 */
export async function beginAsTrial(stateDir: string): Promise<boolean> {
  const leader = process.env[trialVariable]
  delete process.env[trialVariable]
  const child = identify(process.pid)
  if (leader === undefined || child === null) return false
  const trial: TrialProcesses = { leader: JSON.parse(leader) as ProcessIdentity | null, child }
  await replaceJson(join(releasePlaces(stateDir).releases, `trial-${process.pid}.json`), trial)
  return true
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
  const isLed = await endOrphans(stateDir, options.log)
  const upgrade = await readUpgrade(stateDir)
  if (upgrade === null || upgrade.failure !== null || upgrade.from.path !== ownRoot || isLed) return null
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
    const code = await follow(child, stop, leftMs)
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
  const env = { ...process.env, [trialVariable]: JSON.stringify(identify(process.pid)) }
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

/**
 * Waits for the end of the release on trial, and brings it about when its time is over or this process is told to stop. Its exit code. One that proved
 * itself ends by itself a moment later; if it does not, its jobs do not notice that it is ended.
 */
async function follow(child: ChildProcess, stop: Stop, leftMs: number): Promise<number> {
  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(agentExitCodes.failed))
    child.once('exit', (code) => resolve(code ?? agentExitCodes.failed))
  })
  const given = new AbortController()
  const first = await Promise.race([exited, stop.promise, afterwards(leftMs, given.signal)])
  given.abort()
  if (typeof first === 'number') return first
  child.kill('SIGTERM')
  const grace = new AbortController()
  void afterwards(endGraceMs, grace.signal).then(() => !grace.signal.aborted && child.kill('SIGKILL'))
  const code = await exited
  grace.abort()
  return code
}

async function afterwards(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {
    // Nobody waits any more.
  })
}

/** A release on trial, and who leads that. */
interface TrialProcesses {
  readonly leader: ProcessIdentity | null
  readonly child: ProcessIdentity
}

/**
 * Ends releases on trial whose leader was killed: nobody waits for them, and they hold what the next agent needs. Resolves with whether another process
 * leads a trial: then this one was started beside it, and is an agent like any other.
 */
async function endOrphans(stateDir: string, log: Log): Promise<boolean> {
  const { releases } = releasePlaces(stateDir)
  const names = (await readdir(releases).catch(() => [])).filter((name) => /^trial-\d+\.json$/.test(name))
  let isLed = false
  for (const name of names) {
    const { leader, child } = (await readJson(join(releases, name))) as TrialProcesses
    if (lives(child) && leader !== null && leader.pid !== process.pid && lives(leader)) {
      isLed = true
      continue
    }
    if (lives(child)) log.warn('a release on trial outlived the process that led it, and is ended', { pid: child.pid })
    await endByIdentity(child, 'SIGTERM')
    await endByIdentity(child, 'SIGKILL')
    await rm(join(releases, name), { force: true })
  }
  return isLed
}

async function endByIdentity(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
  if (!lives(identity)) return
  try {
    process.kill(identity.pid, signal)
  } catch {
    // Gone since the look.
  }
  for (let waited = 0; waited < endGraceMs && lives(identity); waited += 50) await pause(50)
}
