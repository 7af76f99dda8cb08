/** Colours and weight of a piece of terminal text, packed into a number: bits 0–4 foreground + 1, 5–9 background + 1, then bold, dim, italic, underline. */
export type Style = number

export const plainStyle: Style = 0

export interface Span {
  readonly text: string
  readonly style: Style
}

const flags = { 1: 1 << 10, 2: 1 << 11, 3: 1 << 12, 4: 1 << 13 } as const
const off = { 22: flags[1] | flags[2], 23: flags[3], 24: flags[4] } as const

/** Every terminal sequence and control character; a group holds the parameters of one that sets colours. */
const sequence =
  /\u001b(?:\[([0-9;:]*)m|\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~])|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/**
 * Text of one line as spans of one style each. A job's log is untrusted: what remains is text and tabs; of sequences only colours and weight are obeyed.
 *
 * @example spansOf('\u001b[31mred', plainStyle).spans // [{ text: 'red', style: 2 }]
 */
export function spansOf(line: string, style: Style): { readonly spans: readonly Span[]; readonly style: Style } {
  const spans: Span[] = []
  let now = style
  let from = 0
  for (const match of line.matchAll(sequence)) {
    if (match.index > from) spans.push({ text: line.slice(from, match.index), style: now })
    if (match[1] !== undefined) now = afterSequence(now, match[1])
    from = match.index + match[0].length
  }
  if (from < line.length) spans.push({ text: line.slice(from), style: now })
  return { spans, style: now }
}

/** The style in which the line after this one begins. */
export function styleAfter(line: string, style: Style): Style {
  return line.includes('\u001b[') ? spansOf(line, style).style : style
}

/** What a terminal would show of a line: a carriage return begins it again, as progress bars do. */
export function lastWriting(line: string): string {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line
  return text.slice(text.lastIndexOf('\r') + 1)
}

/** Text without sequences and control characters. */
export function plainLine(line: string): string {
  return lastWriting(line).replace(sequence, '')
}

function afterSequence(style: Style, parameters: string): Style {
  const codes = parameters === '' ? [0] : parameters.split(/[;:]/).map(Number)
  let now = style
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0
    if (code === 38 || code === 48) {
      const wide = codes[at + 1] === 5 ? (codes[at + 2] ?? 0) : null
      now = withColour(now, code === 48, wide !== null && wide < 16 ? wide : null)
      at += wide === null ? 4 : 2
    } else now = afterCode(now, code)
  }
  return now
}

function afterCode(style: Style, code: number): Style {
  if (code === 0) return plainStyle
  if (code >= 1 && code <= 4) return style | flags[code as keyof typeof flags]
  if (code >= 22 && code <= 24) return style & ~off[code as keyof typeof off]
  const colour = colourOf(code)
  return colour === undefined ? style : withColour(style, colour.back, colour.index)
}

function colourOf(code: number): { readonly back: boolean; readonly index: number | null } | undefined {
  if (code === 39 || code === 49) return { back: code === 49, index: null }
  if (code >= 30 && code <= 37) return { back: false, index: code - 30 }
  if (code >= 90 && code <= 97) return { back: false, index: code - 82 }
  if (code >= 40 && code <= 47) return { back: true, index: code - 40 }
  return code >= 100 && code <= 107 ? { back: true, index: code - 92 } : undefined
}

function withColour(style: Style, back: boolean, index: number | null): Style {
  const shift = back ? 5 : 0
  return (style & ~(31 << shift)) | ((index === null ? 0 : index + 1) << shift)
}

/** Class names of a style. A coloured background keeps the ink readable by being shown as an outline of its colour. */
export function classOf(style: Style): string {
  const names: string[] = []
  const fore = style & 31
  const back = (style >> 5) & 31
  if (fore > 0) names.push(`fg${fore - 1}`)
  if (back > 0) names.push(`bg${back - 1}`)
  if ((style & flags[1]) !== 0) names.push('bold')
  if ((style & flags[2]) !== 0) names.push('dim')
  if ((style & flags[3]) !== 0) names.push('italic')
  if ((style & flags[4]) !== 0) names.push('underline')
  return names.join(' ')
}
