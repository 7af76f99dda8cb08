import { CideryError } from '../../model/errors.ts'
import type { Api } from './api.ts'
import { nearest } from './nearest.ts'
import { listAll } from './pages.ts'
import type { UserView } from './views.ts'

/** Finds a user by name. Throws NOT_FOUND with the nearest name that there is. */
export async function readUser(api: Api, name: string): Promise<UserView> {
  const { items } = await listAll<UserView>(api, '/users', { limit: Number.POSITIVE_INFINITY })
  const found = items.find((user) => user.name === name)
  if (found !== undefined) return found
  const near = nearest(
    name,
    items.map((user) => user.name),
  )
  throw new CideryError('NOT_FOUND', `there is no user '${name}'`, {
    hint: near === undefined ? 'cidery user ls' : `did you mean ${near}?`,
  })
}
