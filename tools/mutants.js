// `npm run mutants`: breaks src/model and src/decide in every small way the mutator knows and counts how many of these the tests
// notice. Coverage says that a line ran; this says that somebody looked.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endOnSignals, root, run } from './run.js'

const wanted = 85

/** Score per file and in all, in percent, of the mutants that some test could have noticed. */
function scores(report) {
  const rows = []
  let [killed, total] = [0, 0]
  for (const [file, { mutants }] of Object.entries(report.files)) {
    const counted = mutants.filter(({ status }) => !['Ignored', 'CompileError', 'RuntimeError', 'Pending'].includes(status))
    const noticed = counted.filter(({ status }) => status === 'Killed' || status === 'Timeout').length
    rows.push({ file, noticed, counted: counted.length })
    killed += noticed
    total += counted.length
  }
  return { rows, killed, total, percent: total === 0 ? 0 : (100 * killed) / total }
}

endOnSignals()
if (globSync('src/{model,decide}/**/*.test.ts', { cwd: root }).length === 0) {
  console.error('There is no test below src/model or src/decide yet, so no mutant could be noticed.')
  process.exit(1)
}
const argv = ['stryker', 'run', 'stryker.config.json', ...process.argv.slice(2)]
const { code } = await run(argv, { echo: true, timeoutMs: 3 * 3600_000 })
const file = join(root, 'reports', 'mutation', 'mutation.json')
if (code === 0 && existsSync(file)) {
  const { rows, killed, total, percent } = scores(JSON.parse(readFileSync(file, 'utf8')))
  for (const row of rows) console.log(`${row.file}: ${row.noticed} of ${row.counted}`)
  console.log(`Mutation score of src/model and src/decide: ${percent.toFixed(1)} % (${killed} of ${total}); ${wanted} % are wanted.`)
  process.exitCode = percent >= wanted ? 0 : 1
} else {
  console.error(`The mutation run ended with ${code} and left no report.`)
  process.exitCode = 1
}
