/**
 * Makes a job's output safe for a terminal: keeps text, line breaks, tabs, colours (`ESC[…m`) and erase-line (`ESC[…K`), and drops what could
 * set the title, write the clipboard, move the cursor or ask the terminal a question. Feed it chunks as they come; sequences and
 * characters may be split between them. Not used when the output goes to a file or a pipe: there the bytes stay as they are.
 */
export interface LogFilter {
  /** The safe text of these bytes; an unfinished sequence waits for the next call. */
  filter(chunk: Uint8Array): string
  /** What is left when the log ended. */
  end(): string
}

type State = 'text' | 'escape' | 'intermediate' | 'csi' | 'string' | 'stringEscape'

/** A control sequence longer than this is noise. */
const longestSequence = 256

export function makeLogFilter(): LogFilter {
  const decoder = new TextDecoder('utf-8', { fatal: false })
  let state: State = 'text'
  let sequence = ''

  function step(character: string): string {
    if (state !== 'text') return insideSequence(character)
    if (character === '\u001B') return enter('escape')
    if (character === '\u009B') return enter('csi')
    if (character === '\u0090' || (character >= '\u0098' && character <= '\u009F' && character !== '\u0099' && character !== '\u009A'))
      return enter('string')
    return isShown(character) ? character : ''
  }

  function enter(next: State): string {
    state = next
    sequence = ''
    return ''
  }

  function insideSequence(character: string): string {
    // CAN and SUB abort any sequence, as in a real terminal.
    if (character === '\u0018' || character === '\u001A') return enter('text')
    if (state === 'string' || state === 'stringEscape') return insideString(character)
    if (character === '\u001B') return enter('escape')
    if (state === 'escape') return afterEscape(character)
    if (state === 'intermediate') return character >= '0' && character <= '~' ? enter('text') : ''
    return insideCsi(character)
  }

  function afterEscape(character: string): string {
    if (character === '[') return enter('csi')
    if (character === ']' || character === 'P' || character === 'X' || character === '^' || character === '_') return enter('string')
    if (character >= ' ' && character <= '/') return enter('intermediate')
    enter('text')
    // A two-letter sequence is dropped whole; a line break after a lone escape is still a line break.
    return character === '\n' || character === '\r' ? character : ''
  }

  function insideCsi(character: string): string {
    if (character >= ' ' && character <= '?' && sequence.length < longestSequence) {
      sequence += character
      return ''
    }
    const parameters = sequence
    enter('text')
    if ((character === 'm' || character === 'K') && /^[0-9;:]*$/.test(parameters)) return `\u001B[${parameters}${character}`
    return character === '\n' ? '\n' : ''
  }

  function insideString(character: string): string {
    if (state === 'stringEscape') {
      if (character === '\\') return enter('text')
      state = 'string'
    }
    if (character === '\u0007' || character === '\u009C') return enter('text')
    if (character === '\u001B') state = 'stringEscape'
    // A job that never closes a string must not swallow the rest of its log: a line break ends it.
    if (character === '\n') return `${enter('text')}\n`
    return ''
  }

  function run(text: string): string {
    let shown = ''
    for (const character of text) shown += step(character)
    return shown
  }

  return {
    filter: (chunk) => run(decoder.decode(chunk, { stream: true })),
    end: () => run(decoder.decode()),
  }
}

function isShown(character: string): boolean {
  if (character === '\n' || character === '\r' || character === '\t' || character === '\b') return true
  if (character < ' ' || (character >= '\u007F' && character <= '\u009F')) return false
  return !(character >= '\u202A' && character <= '\u202E') && !(character >= '\u2066' && character <= '\u2069')
}
