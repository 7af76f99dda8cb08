import { createHash } from 'node:crypto'

/** How many rows each group of docs/requirements.md has. A row is never added or dropped by accident. */
export const groupSizes = { '000': 58, '001': 96, '002': 159, '003': 49, '004': 68, X: 17, W: 25 }

/** Fingerprint of every row's id, acceptance line and place of proof: they change only on purpose, in a change of their own. */
export const rowsFingerprint = 'faee7d80496b35cf'

/** `[003-10]`, `[W-01]`, `[002-91 on double]` in the title of a test. */
const tag = /\[((?:\d{3}|[XW])-\d{2,3})( on double)?\]/g

/**
 * Reads the rows of the requirements table: `{ id, group, statement, type }`.
 *
 * @example parseRows('| 000-01 | promise | ok | it works | F |') // [{ id: '000-01', group: '000', statement: 'it works', type: 'F' }]
 */
export function parseRows(markdown) {
  const rows = []
  for (const line of markdown.split('\n')) {
    const id = /^\| ((\d{3}|[XW])-\d{2,3}) \|/.exec(line)
    if (id === null) continue
    const cells = line
      .replaceAll('\\|', '\u0000')
      .split('|')
      .map((cell) => cell.trim().replaceAll('\u0000', '|'))
    rows.push({ id: id[1], group: id[2], statement: cells.at(-3), type: cells.at(-2) })
  }
  return rows
}

/** The fingerprint of a table's rows, in order. */
export function fingerprint(rows) {
  const text = rows.map((row) => `${row.id}\t${row.statement}\t${row.type}`).join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** Every tag in a title as `{ id, onDouble }`. */
export function tagsOf(title) {
  return [...title.matchAll(tag)].map((match) => ({ id: match[1], onDouble: match[2] !== undefined }))
}

/** What is wrong with the table itself: one sentence each. */
export function tableProblems(rows) {
  const problems = []
  const seen = new Set()
  for (const row of rows) {
    if (seen.has(row.id)) problems.push(`${row.id} stands twice in docs/requirements.md`)
    seen.add(row.id)
    if (row.statement === '' || row.type === '') problems.push(`${row.id} has an empty cell`)
  }
  for (const [group, size] of Object.entries(groupSizes)) {
    const found = rows.filter((row) => row.group === group).length
    if (found !== size) problems.push(`group ${group} has ${found} rows instead of ${size}`)
  }
  if (fingerprint(rows) !== rowsFingerprint) {
    problems.push(
      `the rows are not those of the fingerprint (${fingerprint(rows)}): if a line was changed on purpose, write it to tools/requirement-rows.js`,
    )
  }
  return problems
}

/**
 * Joins rows with tests (`{ title, status }`, status `passed`, `failed` or anything else for not run) into
 * `{ id, group, state, tests, failing }`, state `done`, `onDouble` or `open`.
 */
export function joinRows(rows, tests, platform) {
  const proofs = new Map(rows.map((row) => [row.id, []]))
  for (const test of tests) {
    // One test may name a row twice (in its own title and in a describe around it): the weaker claim counts.
    for (const { id, onDouble } of tagsOf(test.title)) proofs.get(id)?.push({ ...test, onDouble })
  }
  return rows.map((row) => {
    const own = proofs.get(row.id)
    const failing = own.filter((proof) => proof.status !== 'passed')
    const onDouble = own.some((proof) => proof.onDouble) || (row.type === 'M' && platform !== 'darwin')
    const proved = own.length > 0 && failing.length === 0
    const state = proved ? (onDouble ? 'onDouble' : 'done') : 'open'
    return { id: row.id, group: row.group, state, tests: own.length, failing: failing.map((proof) => proof.title) }
  })
}

/** Counts joined rows: `{ done, onDouble, open, total, groups: { '000': { done, onDouble, open, total } } }`. */
export function countRows(joined) {
  const empty = () => ({ done: 0, onDouble: 0, open: 0, total: 0 })
  const counts = { ...empty(), groups: {} }
  for (const row of joined) {
    const group = (counts.groups[row.group] ??= empty())
    for (const count of [counts, group]) {
      count[row.state] += 1
      count.total += 1
    }
  }
  return counts
}
