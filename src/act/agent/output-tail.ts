/** What people get to see of a command on a host, at most. */
export const outputTailBytes = 64 * 1024

/* Escape sequences as ECMA-48 writes them: CSI, OSC and other strings up to their end, two-character ones. */
const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|[ -/]*[0-~])/g
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/** Text for a person's terminal or page: no escape sequence, no control character but line feed and tab. */
export function withoutControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(escapes, '').replaceAll(controls, '')
}

/**
 * The last lines of an output, cleaned. While it goes on (`complete` false) a line that is not finished is kept back, so that output comes
 * line by line. `bytes` may begin in the middle of a line or character.
 */
export function outputTail(bytes: Uint8Array, complete: boolean): string {
  const end = complete ? bytes.length : bytes.lastIndexOf(0x0a) + 1
  let text = withoutControls(new TextDecoder().decode(bytes.subarray(0, end)))
  while (Buffer.byteLength(text) > outputTailBytes) {
    const over = Buffer.byteLength(text) - outputTailBytes
    const cut = text.indexOf('\n', Math.floor(over / 4))
    text = cut === -1 || cut === text.length - 1 ? text.slice(Math.ceil(over / 4) + 1) : text.slice(cut + 1)
  }
  return text
}
