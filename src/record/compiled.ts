import type { Compilable, CompiledQuery } from 'kysely'
import type { Reader } from '../ports/store.ts'

/** Stands for a value in a query that is compiled before there are any. */
class Place {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/**
 * A query that is built and compiled once per connection, and from then on sent with other values: for what every poll, pass or report asks. `build` is
 * called with stand-ins and must put them into the query as they are.
 *
 * @example const jobsByState = compiledOnce((db: Reader, state: string) => db.selectFrom('jobs').selectAll().where('state', '=', state))
 *          const rows = await jobsByState(db, 'queued')
 */
export function compiledOnce<A extends readonly (string | number)[], R>(
  build: (db: Reader, ...values: A) => Compilable<R>,
): (db: Reader, ...values: A) => Promise<readonly R[]> {
  const known = new WeakMap<object, CompiledQuery<R>>()
  return async (db, ...values) => {
    const { adapter } = db.getExecutor()
    const query = known.get(adapter) ?? build(db, ...(values.map((_, index) => new Place(index)) as unknown as A)).compile()
    known.set(adapter, query)
    const parameters = query.parameters.map((value) => (value instanceof Place ? values[value.index] : value))
    return (await db.executeQuery<R>({ ...query, parameters })).rows
  }
}
