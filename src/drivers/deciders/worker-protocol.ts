import type { MessagePort } from 'node:worker_threads'
import { CideryError, type ErrorCode } from '../../model/errors.ts'
import type { Instant } from '../../model/instant.ts'
import type { Spec } from '../../model/spec.ts'
import type { Change, World } from '../../model/world.ts'
import { createDeciding } from './deciding.ts'
import type { DecisionRules } from './rules.ts'

/** What a worker is asked; all but `advance` are answered. Messages keep their order. */
export type WorkerRequest =
  | { readonly ask: 'reset'; readonly id: number; readonly spec: Spec; readonly world: World }
  | { readonly ask: 'setSpec'; readonly id: number; readonly spec: Spec }
  | { readonly ask: 'advance'; readonly changes: readonly Change[] }
  | { readonly ask: 'decide'; readonly id: number; readonly now: Instant }
  | { readonly ask: 'imageStates'; readonly id: number; readonly now: Instant }
  | { readonly ask: 'explain'; readonly id: number; readonly subject: string; readonly now: Instant }

export type WorkerAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: ErrorCode; readonly message: string; readonly stack: string | undefined }

/**
 * The other end of a worker decider: call it in the worker's entry.
 *
 * @example serveDecider(parentPort, { decide, advanceWorld, explain })
 */
export function serveDecider(port: Pick<MessagePort, 'on' | 'postMessage'>, rules: DecisionRules): void {
  const deciding = createDeciding(rules)
  let broken: Error | undefined

  function answer(request: Exclude<WorkerRequest, { ask: 'advance' }>): unknown {
    switch (request.ask) {
      case 'reset':
        broken = undefined
        return deciding.reset(request.spec, request.world)
      case 'setSpec':
        return deciding.setSpec(request.spec)
      case 'decide':
        return deciding.decide(request.now)
      case 'imageStates':
        return deciding.imageStates(request.now)
      case 'explain':
        return deciding.explain(request.subject, request.now)
    }
  }

  port.on('message', (request: WorkerRequest) => {
    if (request.ask === 'advance') {
      try {
        deciding.advance(request.changes)
      } catch (error) {
        // Nobody waits for this call: the next question is answered with it, since the world is not what it should be.
        broken ??= error instanceof Error ? error : new Error(String(error))
      }
      return
    }
    try {
      if (broken !== undefined && request.ask !== 'reset') throw broken
      port.postMessage({ id: request.id, ok: true, value: answer(request) } satisfies WorkerAnswer)
    } catch (error) {
      const code = error instanceof CideryError ? error.code : 'INTERNAL'
      const failure = error instanceof Error ? error : new Error(String(error))
      port.postMessage({ id: request.id, ok: false, code, message: failure.message, stack: failure.stack } satisfies WorkerAnswer)
    }
  })
}
