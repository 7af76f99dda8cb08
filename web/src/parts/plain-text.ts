/**
 * Takes terminal sequences and control characters out of a job's output. A job's log is untrusted: what remains is text, tabs and line
 * ends; a lone carriage return (progress bars) becomes a line end.
 *
 * @example plainText('\u001b[31mred\u001b[0m') // 'red'
 */
export function plainText(text: string): string {
  return text
    .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~])/g, '')
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '')
}
