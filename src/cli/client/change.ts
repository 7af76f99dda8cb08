import { CideryError } from '../../model/errors.ts'
import type { Api } from './api.ts'

interface Generation {
  readonly id: string
  readonly generation: number
}

export interface ChangeOptions {
  readonly method?: 'POST' | 'PATCH' | 'DELETE'
  readonly body?: unknown
}

const mostTries = 5

/**
 * Changes a thing under the generation it has now. What is asked for does not depend on what the thing was, so a change by somebody
 * else in between is no conflict: it is read and asked again, a few times.
 */
export async function changeThing<T>(
  api: Api,
  read: () => Promise<Generation>,
  change: (thing: Generation) => { readonly path: string } & ChangeOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const thing = await read()
    const { path, method = 'POST', body = method === 'DELETE' ? undefined : {} } = change(thing)
    try {
      return await api.call<T>(method, path, { body, ifMatch: thing.generation, repeatable: false })
    } catch (error) {
      if (!(error instanceof CideryError) || error.code !== 'STALE_GENERATION' || attempt === mostTries) throw error
    }
  }
}
