/** One line per aim, for the terminal. */
export function aimLines({ aims }) {
  return aims.map(({ aim, measured, ofAim, met }) => `${met ? 'hit' : 'missed'}: ${aim} – ${measured}, ${ofAim} × the aim`)
}

function row(cells) {
  return `| ${cells.join(' | ')} |`
}

/** A report of bench/report.ts for the document; `where` tells of machine and day. */
export function markdown(report, where) {
  return [
    `Measured by \`npm run bench -- ${report.name}\` on ${where}.`,
    '',
    row(report.columns),
    row(report.columns.map(() => '---')),
    ...report.rows.map(row),
    '',
    row(['aim', 'measured', '× the aim', '']),
    row(['---', '---', '---', '---']),
    ...report.aims.map(({ aim, measured, ofAim, met }) => row([aim, measured, ofAim, met ? 'hit' : '**missed**'])),
    '',
    ...report.notes.map((note) => `- ${note}`),
  ].join('\n')
}

/**
 * Puts a text between the marks of a benchmark; what people wrote around them stays.
 *
 * @example putInto('<!-- bench:a -->old<!-- /bench:a -->', 'a', 'new') // '<!-- bench:a -->\n\nnew\n\n<!-- /bench:a -->'
 */
export function putInto(document, name, text) {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`]
  const [start, end] = [document.indexOf(open), document.indexOf(close)]
  if (start < 0 || end < start) throw new Error(`the document has no place for ${name}: ${open} … ${close}`)
  return `${document.slice(0, start + open.length)}\n\n${text}\n\n${document.slice(end)}`
}
