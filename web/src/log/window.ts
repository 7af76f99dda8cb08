import { plainLine, plainStyle, styleAfter, type Style } from './ansi.ts'

/**
 * The part of a log that the page holds: bytes `[start, end)` of it, as lines. It grows at either end and is cut at the other, so that a log of any length
 * costs the same. Lines are what lies between line feeds; one that is longer than `lineBytes` goes on in the next row.
 */
export interface LogWindow {
  readonly start: number
  readonly pieces: readonly Piece[]
  /** Bytes of the last line, whose end has not come yet. */
  readonly tail: Uint8Array
  /** Rows before the first one that were ever in the window, less those cut again: tells how far rows moved when the window grew at its start. */
  readonly origin: number
  /** Number of the first line in the log, when it is known because the window began at the start. */
  readonly firstLine: number | null
}

interface Piece {
  readonly bytes: number
  readonly lines: readonly LogLine[]
  /** Lines that ended here: rows less those that go on in the next. */
  readonly ends: number
}

export interface LogLine {
  /** As it came, sequences included. */
  readonly text: string
  readonly style: Style
  readonly isEnd: boolean
}

export interface WindowLimits {
  readonly bytes: number
  readonly rows: number
}

const lineBytes = 8192
const pieceBytes = 65_536
const lineFeed = 10

export function emptyWindow(at: number): LogWindow {
  return { start: at, pieces: [], tail: new Uint8Array(), origin: 0, firstLine: at === 0 ? 1 : null }
}

export function endOf(window: LogWindow): number {
  return window.start + heldBytes(window)
}

function heldBytes(window: LogWindow): number {
  return window.pieces.reduce((sum, { bytes }) => sum + bytes, window.tail.length)
}

export function rowCount(window: LogWindow): number {
  return window.pieces.reduce((sum, { lines }) => sum + lines.length, 0) + (window.tail.length === 0 ? 0 : 1)
}

/** Adds the bytes that follow. */
export function append(window: LogWindow, bytes: Uint8Array): LogWindow {
  if (bytes.length === 0) return window
  const { lines, rest, ends } = split(joined(window.tail, bytes), lastStyle(window))
  const done = window.tail.length + bytes.length - rest.length
  if (lines.length === 0) return { ...window, tail: rest }
  const before = window.pieces.at(-1)
  const open = before !== undefined && before.bytes + done <= pieceBytes
  const piece = open
    ? { bytes: before.bytes + done, lines: [...before.lines, ...lines], ends: before.ends + ends }
    : { bytes: done, lines, ends }
  return { ...window, pieces: [...(open ? window.pieces.slice(0, -1) : window.pieces), piece], tail: rest }
}

/** Adds the bytes before the window. They should begin where a line does; what they leave unfinished is finished by the window's first line feed. */
export function prepend(window: LogWindow, bytes: Uint8Array): LogWindow {
  if (bytes.length === 0) return window
  const { lines, rest, ends } = split(bytes, plainStyle)
  const whole = rest.length === 0 ? lines : [...lines, { text: decode(rest), style: lastStyleOf(lines), isEnd: false }]
  const start = window.start - bytes.length
  return {
    ...window,
    start,
    pieces: [{ bytes: bytes.length, lines: whole, ends }, ...window.pieces],
    origin: window.origin - whole.length,
    firstLine: start === 0 ? 1 : window.firstLine === null ? null : window.firstLine - ends,
  }
}

/** Cuts whole pieces at one end until the window is within its limits. At its end the unfinished line goes first. */
export function cut(window: LogWindow, at: 'start' | 'end', limits: WindowLimits): LogWindow {
  let now = window
  while (now.pieces.length > 1 && (heldBytes(now) > limits.bytes || rowCount(now) > limits.rows)) {
    now = at === 'start' ? withoutFirst(now) : { ...now, tail: new Uint8Array(), pieces: now.pieces.slice(0, -1) }
  }
  return now
}

function withoutFirst(window: LogWindow): LogWindow {
  const [first, ...pieces] = window.pieces
  if (first === undefined) return window
  return {
    ...window,
    start: window.start + first.bytes,
    pieces,
    origin: window.origin + first.lines.length,
    firstLine: window.firstLine === null ? null : window.firstLine + first.ends,
  }
}

export interface Row extends LogLine {
  /** Of the log's lines; null when it is not known or the row goes on from the one before. */
  readonly number: number | null
  /** Counted from the first row that ever was in the window: the same row keeps it. */
  readonly place: number
}

/** Some rows, from a number counted in the window. */
export function rowsOf(window: LogWindow, from: number, count: number): readonly Row[] {
  const rows: Row[] = []
  let row = 0
  let line = window.firstLine ?? 0
  let isNew = true
  const add = (one: LogLine): void => {
    if (row >= from && row < from + count)
      rows.push({ ...one, place: window.origin + row, number: isNew && window.firstLine !== null ? line : null })
    if (one.isEnd) line += 1
    isNew = one.isEnd
    row += 1
  }
  for (const piece of window.pieces) {
    if (row >= from + count) return rows
    if (row + piece.lines.length <= from) {
      row += piece.lines.length
      line += piece.ends
      isNew = piece.lines.at(-1)?.isEnd ?? isNew
    } else for (const one of piece.lines) add(one)
  }
  if (window.tail.length > 0) add({ text: decode(window.tail), style: lastStyle(window), isEnd: false })
  return rows
}

/** Numbers of the rows that have a text in them, whatever the case of its letters; at most `limit`. */
export function search(window: LogWindow, text: string, limit = 10_000): readonly number[] {
  const wanted = text.toLowerCase()
  const found: number[] = []
  if (wanted === '') return found
  let row = 0
  const look = (line: string): void => {
    if (found.length < limit && plainLine(line).toLowerCase().includes(wanted)) found.push(row)
    row += 1
  }
  for (const { lines } of window.pieces) for (const line of lines) look(line.text)
  if (window.tail.length > 0) look(decode(window.tail))
  return found
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const all = new Uint8Array(a.length + b.length)
  all.set(a)
  all.set(b, a.length)
  return all
}

function lastStyle(window: LogWindow): Style {
  return lastStyleOf(window.pieces.at(-1)?.lines ?? [])
}

function lastStyleOf(lines: readonly LogLine[]): Style {
  const last = lines.at(-1)
  return last === undefined ? plainStyle : styleAfter(last.text, last.style)
}

const decoder = new TextDecoder()

function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** Lines that are whole, or too long to wait for their end; and the bytes after them. */
function split(bytes: Uint8Array, style: Style): { readonly lines: LogLine[]; readonly rest: Uint8Array; readonly ends: number } {
  const lines: LogLine[] = []
  let now = style
  let ends = 0
  let at = 0
  const add = (to: number, isEnd: boolean): void => {
    const text = decode(bytes.subarray(at, to))
    lines.push({ text, style: now, isEnd })
    now = styleAfter(text, now)
    if (isEnd) ends += 1
  }
  for (;;) {
    const feed = bytes.indexOf(lineFeed, at)
    const to = feed === -1 ? bytes.length : feed
    while (to - at > lineBytes) {
      const cutAt = characterStart(bytes, at + lineBytes)
      add(cutAt, false)
      at = cutAt
    }
    if (feed === -1) return { lines, rest: bytes.slice(at), ends }
    add(feed, true)
    at = feed + 1
  }
}

/** The last place up to `at` that is not within a character. */
function characterStart(bytes: Uint8Array, at: number): number {
  let place = at
  while (place > at - 4 && ((bytes[place] ?? 0) & 0xc0) === 0x80) place -= 1
  return place
}
