/**
 * JSON with one spelling per value: keys sorted by their UTF-16 units, no spaces, nothing that is undefined. What is hashed and signed is
 * this text. Throws TypeError for what JSON cannot say (NaN, functions), instead of writing null for it.
 *
 * @example canonicalJson({ b: 1, a: [true] }) // '{"a":[true],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} cannot be written as JSON`)
      return JSON.stringify(value)
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? arrayText(value) : objectText(value)
    default:
      throw new TypeError(`a ${typeof value} cannot be written as JSON`)
  }
}

function arrayText(values: readonly unknown[]): string {
  return `[${values.map((value) => (value === undefined ? 'null' : canonicalJson(value))).join(',')}]`
}

function objectText(value: object): string {
  const parts: string[] = []
  for (const [key, field] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (field !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalJson(field)}`)
  }
  return `{${parts.join(',')}}`
}
