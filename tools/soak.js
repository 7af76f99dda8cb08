// `npm run soak`: the counted loops of tools/soaks.js. It goes on where it was interrupted; `-- --again` starts over, `-- --share`
// plays the share of `npm test`, `-- NAME` only one of them.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureComponents } from './install-components.js'
import { resultFile } from './results.js'
import { endOnSignals, root, run } from './run.js'
import { soaks } from './soaks.js'

const progressFile = join(root, 'reports', 'soak-progress.json')

function readProgress() {
  return existsSync(progressFile) ? JSON.parse(readFileSync(progressFile, 'utf8')) : {}
}

/** Written whole beside the old one and put in its place, so that a kill leaves one or the other. */
function keepProgress(progress) {
  mkdirSync(join(root, 'reports'), { recursive: true })
  writeFileSync(`${progressFile}.new`, `${JSON.stringify(progress, null, 2)}\n`)
  renameSync(`${progressFile}.new`, progressFile)
}

/** Plays rounds `from` … `until`, telling `onChunk` after each chunk how far it is; false when a round was red. */
async function play(soak, { from, until, words, onChunk }) {
  for (let at = from; at < until;) {
    const count = Math.min(soak.chunk ?? 5, until - at)
    const argv = [...soak.command, '--from', String(at), '--count', String(count), ...words]
    const { code, timedOut } = await run(argv, { echo: true, timeoutMs: (soak.minutes ?? 10) * 60_000 })
    if (code !== 0) {
      console.log(
        `${soak.name}: rounds ${at} to ${at + count - 1} ${timedOut ? 'took too long' : `ended with ${code}`}. Again: ${argv.join(' ')}`,
      )
      return false
    }
    at += count
    onChunk(at)
  }
  return true
}

async function playSoak(soak, { share, again }) {
  const progress = readProgress()
  const from = share || again ? 0 : (progress[soak.name] ?? 0)
  const until = share ? soak.share : soak.rounds
  console.log(`\n━━ ${soak.name}: rounds ${from} to ${until - 1} of ${soak.rounds}${share ? ' (the share of npm test)' : ''}`)
  const onChunk = (done) => {
    if (!share) keepProgress({ ...readProgress(), [soak.name]: done })
  }
  return play(soak, { from, until, onChunk, words: share ? (soak.shareWords ?? []) : [] })
}

/** A report of the same form as vitest's, so that soaks count for requirements too. */
function writeReport(results, share) {
  const assertionResults = results.map(({ soak, passed }) => ({
    fullName: `${soak.name}: ${soak.title}`,
    status: passed ? 'passed' : 'failed',
  }))
  mkdirSync(join(root, 'reports', 'results'), { recursive: true })
  writeFileSync(
    resultFile(root, share ? 'soak-share' : 'soak'),
    JSON.stringify({ testResults: [{ name: 'tools/soaks.js', status: 'passed', assertionResults }] }),
  )
}

endOnSignals()
const args = process.argv.slice(2)
const options = { share: args.includes('--share'), again: args.includes('--again') }
const names = args.filter((arg) => !arg.startsWith('--'))
const chosen = names.length === 0 ? soaks : soaks.filter((soak) => names.includes(soak.name))
const missing = await ensureComponents([...new Set(chosen.flatMap((soak) => soak.needs ?? []))])
for (const why of missing.values()) console.log(why)
const results = []
for (const soak of chosen) results.push({ soak, passed: missing.size === 0 && (await playSoak(soak, options)) })
writeReport(results, options.share)
const failed = results.filter(({ passed }) => !passed).length
if (chosen.length === 0) console.log('There is no such soak in tools/soaks.js.')
process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0
console.log(`${results.length - failed} passed, ${failed} failed`)
