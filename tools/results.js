import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Where a suite's result lies: vitest's JSON report, one file per suite. */
export function resultFile(folder, suite) {
  return join(folder, 'reports', 'results', `${suite}.json`)
}

/** Forgets what a suite did before, so that a crash cannot pass for the run before it. */
export function dropResult(folder, suite) {
  mkdirSync(join(folder, 'reports', 'results'), { recursive: true })
  rmSync(resultFile(folder, suite), { force: true })
}

/** Reads one report into `{ tests: [{ title, status }], passed, failed, skipped, broken, files }`; undefined when there is none. */
export function readResult(file) {
  if (!existsSync(file)) return undefined
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const tests = []
  const broken = []
  const files = []
  for (const entry of report.testResults ?? []) {
    const assertions = entry.assertionResults ?? []
    // A file that could not be loaded has no tests in it, only a message; nothing it holds was proved.
    if (entry.status === 'failed' && assertions.every((assertion) => assertion.status !== 'failed')) broken.push(entry.name)
    else files.push(entry.name)
    for (const { fullName, status } of assertions) tests.push({ title: fullName, status })
  }
  const count = (status) => tests.filter((test) => test.status === status).length
  const passed = count('passed')
  const failed = count('failed')
  return { tests, passed, failed, skipped: tests.length - passed - failed, broken, files }
}

/** The tests of every recorded suite together, which suites those are, and the files (absolute) that ran. */
export function readResults(folder) {
  const place = join(folder, 'reports', 'results')
  const names = existsSync(place)
    ? readdirSync(place)
        .filter((name) => name.endsWith('.json'))
        .sort()
    : []
  const results = names.map((name) => readResult(join(place, name)))
  return {
    suites: names.map((name) => name.replace(/\.json$/, '')),
    tests: results.flatMap((result) => result.tests),
    files: new Set(results.flatMap((result) => result.files)),
  }
}
