import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JobView } from '../../src/model/api.ts'
import { allJobs, type Api } from '../e2e/api.ts'
import type { Fleet } from '../e2e/fleet.ts'
import { waitFor } from '../e2e/wait.ts'

/** A small seeded generator: a red round can be played again by its number. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A job that was accepted, and what must come of it. */
export interface Submitted {
  readonly id: string
  readonly code: number
  readonly log: string
}

/** Submits one job; a create that got no answer is repeated with the same key, as the CLI does. */
export function submit(api: Api, job: { readonly key: string; readonly script: string; readonly timeoutS?: number }): Promise<JobView> {
  const body = { script: job.script, name: job.key, timeoutS: job.timeoutS ?? 120, retries: 10 }
  return waitFor(
    `${job.key} to be accepted`,
    () => api.post<JobView>('/jobs', body, { 'idempotency-key': job.key }).catch(() => null),
    120_000,
  )
}

export interface JobStream {
  stop(): Promise<readonly Submitted[]>
}

export interface JobStreamOptions {
  readonly name: string
  readonly random: () => number
  /** Shortest pause between two jobs, in ms; the longest is six times as long. */
  readonly pauseMs?: number
}

/** Submits short jobs, one after another, until told to stop. */
export function streamJobs(api: Api, options: JobStreamOptions): JobStream {
  const { name, random, pauseMs = 100 } = options
  const accepted: Submitted[] = []
  const state = { going: true }
  const work = (async () => {
    for (let number = 0; state.going; number += 1) {
      const code = number % 5
      const word = `${name}-${number}`
      const seconds = (0.2 + random() * 1.5).toFixed(2)
      const job = await submit(api, { key: word, script: `echo begin ${word}; sleep ${seconds}; echo end ${word}; exit ${code}` })
      accepted.push({ id: job.id, code, log: `begin ${word}\nend ${word}\n` })
      await sleep(pauseMs * (1 + random() * 5))
    }
  })()
  return {
    async stop() {
      state.going = false
      await work
      return accepted
    },
  }
}

/** Accepted jobs that are lost, ended otherwise than their command did, or ran to their end more than once. */
export function problemsOf(accepted: readonly Submitted[], jobs: ReadonlyMap<string, JobView>): readonly string[] {
  return accepted.flatMap(({ id, code }) => {
    const job = jobs.get(id)
    if (job === undefined) return [`${id} was accepted and is lost`]
    if (job.state !== 'ended' || job.outcome === null) return [`${id} is ${job.state}`]
    if (job.outcome.kind !== 'exited' || job.outcome.code !== code)
      return [`${id} (${job.name}) should exit ${code}, and has ${JSON.stringify(job.outcome)}`]
    const ended = job.attempts.filter((attempt) => attempt.outcome?.kind === 'exited')
    return ended.length === 1 ? [] : [`${id} has ${ended.length} attempts that ran to their end`]
  })
}

/** Logs that are not, byte by byte, what the jobs wrote. */
export async function logProblems(api: Api, accepted: readonly Submitted[]): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { id, log } of accepted) {
    // Followed: a job is over when its command is, and the last bytes of its log may come after that.
    const found = await api.text(`/jobs/${id}/log?follow=1`)
    if (found !== log) problems.push(`${id} has the log ${JSON.stringify(found.slice(0, 200))}`)
  }
  return problems
}

/** Waits as long as jobs go on ending: how fast they do depends on the machine, that they do must not. */
export async function allEnded(fleet: Fleet): Promise<void> {
  const unfinished = async () => (await allJobs(fleet.api)).filter((job) => job.state !== 'ended').length
  for (let left = await unfinished(); left > 0;) {
    const before = left
    left = await waitFor(
      'another job to end',
      async () => {
        const now = await unfinished()
        return now < before ? { now } : null
      },
      180_000,
    ).then(
      ({ now }) => now,
      (error: unknown) => tellWhatIsStuck(fleet, error),
    )
  }
}

/** Says which jobs did not end and what their host knows of them, before the fleet and its files go. */
async function tellWhatIsStuck(fleet: Fleet, error: unknown): Promise<never> {
  const stuck = (await allJobs(fleet.api)).filter((job) => job.state !== 'ended')
  console.error(JSON.stringify(stuck, null, 1))
  console.error(JSON.stringify(await fleet.api.get('/hosts/host-1'), null, 1))
  for (const name of ['agent.log', ...fleet.controllers.map(({ stateDir }) => `${stateDir.split('/').at(-1) ?? ''}.log`)]) {
    const log = await readFile(join(fleet.directory, name), 'utf8')
    console.error(`── the end of ${name}\n${log.split('\n').slice(-40).join('\n')}`)
  }
  throw error
}

/** The agent removes what it holds of an attempt when the controller has acknowledged end and log. What stays is a residue, named later. */
export async function untilForgotten(fleet: Fleet): Promise<void> {
  const held = async () => (await fleet.residue()).some((thing) => thing.startsWith('supervisors/'))
  await waitFor('the agent to forget what ended', async () => !(await held())).catch((error: unknown) => console.error(String(error)))
}
