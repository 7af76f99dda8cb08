/** What must not be read in a log: byte patterns made from the values of a job's secrets. */
export interface Redaction {
  readonly patterns: readonly Buffer[]
  /** Length of the longest pattern. */
  readonly longest: number
  /** Names of secrets that are too short to be told from ordinary text. */
  readonly tooShort: readonly string[]
}

/** Shorter values would blacken half of an ordinary log (a secret `1`), and tell by that what they are. */
const shortestPattern = 4
/** Lines of a secret of many lines (a key file) are hidden one by one; short ones (`-----`, `}`) are no secret of their own. */
const shortestLine = 8
/** Beyond this many lines a secret is hidden whole and not line by line. */
const mostLines = 2000

const masked = 0x2a // *
const lineFeed = 0x0a
const carriageReturn = 0x0d

function lines(value: string): readonly string[] {
  const parts = value.split(/\r?\n/).map((line) => line.trim())
  return parts.length > 1 && parts.length <= mostLines ? parts.filter((line) => line.length >= shortestLine) : []
}

/**
 * The part of the base64 of `value` that is the same whatever stands before and after it, for each of the three alignments: a token
 * is often logged as the base64 of `user:token`.
 */
function base64Forms(value: Buffer): readonly string[] {
  const forms: string[] = []
  for (let shift = 0; shift < 3; shift += 1) {
    const text = Buffer.concat([Buffer.alloc(shift), value])
      .toString('base64')
      .replaceAll('=', '')
    // Characters that also carry bits of a neighbour are cut off at both ends.
    const from = Math.ceil((shift * 8) / 6)
    const to = Math.floor(((shift + value.length) * 8) / 6)
    const inner = text.slice(from, to)
    if (inner.length >= shortestLine) forms.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return forms
}

function formsOf(value: string): readonly string[] {
  const trimmed = value.replace(/\r?\n$/, '')
  return [
    trimmed,
    trimmed.replaceAll('\n', '\r\n'),
    ...lines(value),
    JSON.stringify(trimmed).slice(1, -1),
    encodeURIComponent(trimmed.toWellFormed()),
    ...base64Forms(Buffer.from(trimmed)),
    ...base64Forms(Buffer.from(value)),
    Buffer.from(trimmed).toString('hex'),
  ]
}

/** Makes the patterns for the values of secrets, by name. */
export function redactionFor(secrets: Readonly<Record<string, string>>): Redaction {
  const texts = new Set<string>()
  const tooShort: string[] = []
  for (const [name, value] of Object.entries(secrets)) {
    if (value.trim().length < shortestPattern) {
      tooShort.push(name)
      continue
    }
    for (const form of formsOf(value)) if (form.trim().length >= shortestPattern) texts.add(form)
  }
  const patterns = [...texts].map((text) => Buffer.from(text))
  return { patterns, longest: patterns.reduce((most, pattern) => Math.max(most, pattern.length), 0), tooShort }
}

function hide(bytes: Buffer, from: number, to: number): void {
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at]
    if (byte !== lineFeed && byte !== carriageReturn) bytes[at] = masked
  }
}

/**
 * Replaces each byte that belongs to an occurrence of a pattern by `*`; line breaks stay, and so does the length. Whether a byte is hidden depends
 * only on the bytes around it (`longest` each way), so any part of a log can be redacted alone: an upload resumes at any offset.
 */
export function redact(bytes: Uint8Array, redaction: Redaction): Buffer {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const result = Buffer.from(source)
  for (const pattern of redaction.patterns) {
    for (let at = source.indexOf(pattern); at !== -1; at = source.indexOf(pattern, at + 1)) hide(result, at, at + pattern.length)
  }
  return result
}

/** How many bytes at the end could be the beginning of a pattern, and so have to wait for what follows. */
export function undecided(bytes: Uint8Array, redaction: Redaction): number {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let most = 0
  for (const pattern of redaction.patterns) {
    const first = pattern[0]
    if (first === undefined) continue
    const start = Math.max(0, source.length - pattern.length + 1)
    for (let at = source.indexOf(first, start); at !== -1; at = source.indexOf(first, at + 1)) {
      const length = source.length - at
      if (length <= most) break
      if (source.compare(pattern, 0, length, at) === 0) most = length
    }
  }
  return most
}
