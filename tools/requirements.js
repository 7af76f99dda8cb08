// Joins docs/requirements.md with the last test run. `--json` for programs, `--check` for `npm run check`, `--open`, `--done`,
// `--on-double` to list rows of that state.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { countRows, groupSizes, joinRows, parseRows, tableProblems, tagsOf } from './requirement-rows.js'
import { readResults } from './results.js'
import { root, table } from './run.js'
import { suites } from './suites.js'

const groupNames = {
  '000': 'agent image health check',
  '001': 'macOS runner infrastructure',
  '002': 'self-hosted Mac CI server',
  '003': 'agent resilience',
  '004': 'worker pool on EC2 Mac',
  X: 'beyond the seeds',
  W: 'wants no system meets',
}

function readRows(folder) {
  return parseRows(readFileSync(join(folder, 'docs', 'requirements.md'), 'utf8'))
}

/** The tags in test sources as `{ file, id, onDouble }`. Tests of these very tools are left out: their tags are samples. */
function sourceTags(folder) {
  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts', 'web/**/*.test.{ts,tsx}'], { cwd: folder })
  return files
    .filter((file) => !file.includes('node_modules') && !file.startsWith('test/tooling/'))
    .flatMap((file) => tagsOf(readFileSync(join(folder, file), 'utf8')).map((tag) => ({ file, ...tag })))
}

/** Tags that name no row: a typing error would otherwise leave a row open without a word. */
function unknownTags(folder, rows) {
  const known = new Set(rows.map((row) => row.id))
  return sourceTags(folder)
    .filter(({ id }) => !known.has(id))
    .map(({ file, id }) => `${file} names [${id}], which is no row of docs/requirements.md`)
}

/**
 * Proofs that are written but did not run, or whose file could not be loaded: their rows stay open, even when other tests of the row
 * passed. Suites of another platform are no part of this run.
 */
function unrunProofs(folder, ranFiles) {
  const elsewhere = suites.filter((suite) => ![undefined, 'any', process.platform].includes(suite.platform))
  const foreign = new Set(elsewhere.flatMap((suite) => globSync([...(suite.include ?? [])], { cwd: folder })))
  return sourceTags(folder)
    .filter(({ file }) => !ranFiles.has(join(folder, file)) && !foreign.has(file))
    .map(({ file, id }) => ({ title: `${file} [${id}], which did not run`, status: 'unrun' }))
}

function check(folder) {
  const rows = readRows(folder)
  const problems = [...tableProblems(rows), ...unknownTags(folder, rows)]
  for (const problem of problems) console.error(problem)
  if (problems.length === 0) console.log(`${rows.length} rows, every tag names one`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

function print(joined, results) {
  const counts = countRows(joined)
  const rows = [['group', 'done', 'on double', 'open', 'total', '']]
  for (const group of Object.keys(groupSizes)) {
    const count = counts.groups[group] ?? { done: 0, onDouble: 0, open: 0, total: 0 }
    rows.push([group, count.done, count.onDouble, count.open, count.total, groupNames[group]])
  }
  rows.push(['all', counts.done, counts.onDouble, counts.open, counts.total, ''])
  console.log(table(rows))
  for (const row of joined) {
    for (const title of row.failing) console.log(`${row.id} is open because this test did not pass: ${title}`)
  }
  const missing = suites.filter((suite) => suite.include !== undefined && !results.suites.includes(suite.name)).map((suite) => suite.name)
  if (results.suites.length === 0) console.log('No test run is recorded below reports/. Next: npm test')
  else if (missing.length > 0) console.log(`The last run did not include: ${missing.join(', ')}. Their rows count as open. Next: npm test`)
}

function list(joined, state) {
  for (const row of joined.filter((entry) => entry.state === state)) console.log(row.id)
}

function main(args) {
  const folder = args.find((arg) => !arg.startsWith('--')) ?? root
  if (!existsSync(join(folder, 'docs', 'requirements.md'))) throw new Error(`there is no docs/requirements.md in ${folder}`)
  if (args.includes('--check')) return check(folder)
  const results = readResults(folder)
  const tests = [...results.tests, ...unrunProofs(folder, results.files)]
  const joined = joinRows(readRows(folder), tests, process.platform)
  if (args.includes('--json')) return console.log(JSON.stringify(countRows(joined), null, 2))
  for (const [flag, state] of [
    ['--open', 'open'],
    ['--done', 'done'],
    ['--on-double', 'onDouble'],
  ]) {
    if (args.includes(flag)) return list(joined, state)
  }
  return print(joined, results)
}

main(process.argv.slice(2))
