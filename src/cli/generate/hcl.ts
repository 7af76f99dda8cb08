/** A value of HCL; `raw` is an expression that is written as it is: `var.password`. */
export type HclValue =
  | string
  | number
  | boolean
  | readonly HclValue[]
  | { readonly raw: string }
  | { readonly object: Readonly<Record<string, HclValue>> }

export interface HclBlock {
  readonly type: string
  readonly labels: readonly string[]
  /** Said in a line above. */
  readonly comment?: string
  readonly attributes: Readonly<Record<string, HclValue | undefined>>
  readonly blocks?: readonly HclBlock[]
}

/** A text as HCL quotes it: nothing in it is a template. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/([$%])\{/g, '$1$1{')
}

/** Writes blocks as HCL2, formatted as `packer fmt` does: names of neighbouring attributes are aligned. */
export function writeHcl(blocks: readonly HclBlock[], indent = ''): string {
  return blocks.map((block) => writeBlock(block, indent)).join('\n')
}

function writeBlock({ type, labels, comment, attributes, blocks = [] }: HclBlock, indent: string): string {
  const inner = `${indent}  `
  const given = Object.entries(attributes).filter((entry): entry is [string, HclValue] => entry[1] !== undefined)
  const width = Math.max(0, ...given.map(([name]) => name.length))
  const lines = given.map(([name, value]) => `${inner}${name.padEnd(width)} = ${writeValue(value, inner)}\n`).join('')
  const nested = blocks.length === 0 ? '' : `${lines === '' ? '' : '\n'}${writeHcl(blocks, inner)}`
  const head = [type, ...labels.map(quoted)].join(' ')
  return `${comment === undefined ? '' : `${indent}# ${comment}\n`}${indent}${head} {\n${lines}${nested}${indent}}\n`
}

function writeValue(value: HclValue, indent: string): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value !== 'object') return String(value)
  if ('raw' in value) return value.raw
  if ('object' in value) {
    const lines = Object.entries(value.object).map(([name, field]) => `${indent}  ${name} = ${writeValue(field, `${indent}  `)}\n`)
    return `{\n${lines.join('')}${indent}}`
  }
  if (value.length === 0) return '[]'
  return `[\n${value.map((item) => `${indent}  ${writeValue(item, `${indent}  `)},\n`).join('')}${indent}]`
}
