import { minute } from '../../model/instant.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { HeldBack } from '../../model/simulation.ts'
import type { ReplayedJob, WaitingSample } from '../replay/replayed.ts'

interface Text {
  readonly message: string
  readonly cure: string
}

interface Held {
  readonly code: HeldBack['code']
  jobMs: Milliseconds
  /** How long each wording held, as job-milliseconds. */
  readonly texts: Map<string, Text & { jobMs: Milliseconds }>
}

const bootMessage = 'the job has a host, and its sandbox boots there'
const bootCure = 'keep sandboxes warm (pools.<pool>.engines.qemu.warm), or make the image smaller'

/** What jobs waited for, the weightiest first. Samples hold until the next one; the last says nothing of any length of time. */
export function heldBackOf(samples: readonly WaitingSample[], jobs: readonly ReplayedJob[]): readonly HeldBack[] {
  const held = new Map<HeldBack['code'], Held>()
  const add = (code: HeldBack['code'], text: Text, jobMs: Milliseconds) => {
    if (jobMs <= 0) return
    const one: Held = held.get(code) ?? { code, jobMs: 0, texts: new Map() }
    held.set(code, one)
    one.jobMs += jobMs
    const wording = one.texts.get(text.message) ?? { ...text, jobMs: 0 }
    wording.jobMs += jobMs
    one.texts.set(text.message, wording)
  }
  for (const [index, sample] of samples.entries()) {
    const length = (samples[index + 1]?.at ?? sample.at) - sample.at
    for (const { code, message, cure, jobCount } of sample.waiting) add(code, { message, cure }, jobCount * length)
  }
  for (const { assignedAt, startedAt } of jobs) {
    if (assignedAt !== null && startedAt !== null) add('boot', { message: bootMessage, cure: bootCure }, startedAt - assignedAt)
  }
  return [...held.values()].sort((one, other) => other.jobMs - one.jobMs || one.code.localeCompare(other.code)).map(told)
}

function told({ code, jobMs, texts }: Held): HeldBack {
  const [longest] = [...texts.values()].sort((one, other) => other.jobMs - one.jobMs)
  return { code, message: longest?.message ?? '', cure: longest?.cure ?? '', jobMinutes: jobMs / minute }
}
