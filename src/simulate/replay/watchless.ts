import { isMap, parseDocument } from 'yaml'

/**
 * A spec as a fleet without faults needs it: looks that only find faults are far apart, so that a day of a fleet takes seconds. When jobs are placed does not
 * change: what moves is told at once.
 */
export function withoutWatching(source: string): string {
  const document = parseDocument(source)
  document.setIn(['limits', 'syncPoll'], '10m')
  for (const pool of poolNames(document)) {
    document.setIn(['pools', pool, 'readiness'], document.createNode({ checkInterval: '12h', checkMaxAge: '10d', bootProofMaxAge: '30d' }))
  }
  return document.toString()
}

function poolNames(document: ReturnType<typeof parseDocument>): readonly string[] {
  const pools: unknown = document.get('pools')
  if (isMap(pools)) return pools.items.map(({ key }) => String(key))
  return ['default']
}
