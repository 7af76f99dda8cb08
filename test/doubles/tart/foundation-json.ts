type Scalar = string | number | boolean
type Row = Readonly<Record<string, Scalar>>

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)
}

function scalar(value: Scalar): string {
  return JSON.stringify(value).replaceAll('/', String.raw`\/`)
}

function object(row: Row, indent: string): string {
  const lines = shuffled(Object.entries(row)).map(([key, value]) => `${indent}  "${key}" : ${scalar(value)}`)
  return `${indent}{\n${lines.join(',\n')}\n${indent}}`
}

/** Text as Foundation's JSONEncoder prints it: spaces around the colon, slashes escaped, keys in another order each time. */
export function foundationJson(value: Row | readonly Row[]): string {
  if (!Array.isArray(value)) return object(value as Row, '')
  const rows = (value as readonly Row[]).map((row) => object(row, '  '))
  return rows.length === 0 ? '[\n\n]' : `[\n${rows.join(',\n')}\n]`
}
