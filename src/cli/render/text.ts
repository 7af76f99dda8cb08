// Everything that could move the cursor, change the terminal or turn text around: controls, escape, C1, bidirectional overrides, line separators.
const escapes = /\u001B(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[ -/]*[0-~])?/g
const controls = /[\u0000-\u001F\u007F-\u009F\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/g

/** Makes text from elsewhere safe to show on one line of a terminal: escape sequences go, other control characters become spaces. */
export function cleanText(text: string): string {
  return text.replace(escapes, '').replace(controls, ' ')
}

/** The same for text of several lines, whose line breaks and tabs stay. */
export function cleanLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.split('\t').map(cleanText).join('\t'))
    .join('\n')
}

const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|[\u{20000}-\u{3FFFD}]/u
const narrowless = /^[\p{Mn}\p{Me}\p{Cf}]$/u

/** Columns that text takes on a terminal: 2 for East Asian wide characters and emoji, 0 for combining marks. */
export function displayWidth(text: string): number {
  if (/^[\u0020-\u007E]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) width += narrowless.test(character) ? 0 : wide.test(character) ? 2 : 1
  return width
}

/** Shortens text to a width, with `…` for what is missing. */
export function fitText(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    const next = displayWidth(character)
    if (used + next > width - 1) break
    kept += character
    used += next
  }
  return width < 1 ? '' : `${kept}…`
}
