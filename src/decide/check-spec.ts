import type { InputProblem } from '../model/errors.ts'
import type { Spec } from '../model/spec.ts'
import { compareText } from './sorted-map.ts'

/** What a spec says that cannot be: names of pools and images that are not there, limits that contradict each other. Empty: nothing. */
export function specProblems(spec: Spec): InputProblem[] {
  return [...queueProblems(spec), ...poolProblems(spec), ...operationProblems(spec)]
}

function queueProblems(spec: Spec): InputProblem[] {
  const problems: InputProblem[] = []
  for (const [name, queue] of Object.entries(spec.queues)) {
    for (const [index, pool] of queue.pools.entries()) {
      if (!Object.hasOwn(spec.pools, pool))
        problems.push(unknown(`queues.${name}.pools.${index}`, `there is no pool "${pool}"`, spec.pools))
    }
    const image = queue.image === undefined ? undefined : spec.images[queue.image]
    if (queue.image === undefined) continue
    if (image === undefined) problems.push(unknown(`queues.${name}.image`, `there is no image "${queue.image}"`, spec.images))
    else if (image.engine !== queue.engine) {
      const message = `image "${queue.image}" is for engine ${image.engine}, and the queue's engine is ${queue.engine}`
      problems.push({ path: `queues.${name}.image`, message })
    }
  }
  return problems
}

function unknown(path: string, message: string, known: Readonly<Record<string, unknown>>): InputProblem {
  return { path, message, accepted: Object.keys(known).sort(compareText) }
}

function poolProblems(spec: Spec): InputProblem[] {
  const problems: InputProblem[] = []
  for (const [name, { readiness }] of Object.entries(spec.pools)) {
    if (readiness.checkInterval >= readiness.checkMaxAge) {
      problems.push({
        path: `pools.${name}.readiness.checkMaxAge`,
        message: 'has to be longer than checkInterval, or each proof is too old before the next one',
      })
    }
  }
  return problems
}

function operationProblems(spec: Spec): InputProblem[] {
  const problems: InputProblem[] = []
  for (const [kind, limits] of Object.entries(spec.limits.operations)) {
    const { warning, hard } = limits
    if (warning !== undefined && hard !== undefined && warning >= hard) {
      problems.push({
        path: `limits.operations.${kind}.warning`,
        message: 'has to be shorter than hard: a warning after the end warns nobody',
      })
    }
  }
  return problems
}
