/** An SSH server takes 128 variables, the kernel 128 KiB for one. */
const pieceLength = 30_000

/** Words and environment of a command for a machine, as text of lines in pieces: `CIDERY_ENV_0`, `CIDERY_ENV_1` … */
export function packedWords(words: readonly string[], env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const items = [String(words.length), ...words, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
  const text = items.map((item) => item.replaceAll('%', '%25').replaceAll('\n', '%0A')).join('\n')
  const pieces: Record<string, string> = {}
  for (let start = 0, index = 0; start < text.length; index += 1) {
    const end = start + pieceLength
    // Never between the two halves of a character.
    const cut = /[\uD800-\uDBFF]/.test(text.charAt(end - 1)) ? end - 1 : end
    pieces[`CIDERY_ENV_${index}`] = text.slice(start, cut)
    start = cut
  }
  return pieces
}
