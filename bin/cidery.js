#!/usr/bin/env node
// Starts cidery on a Node that can run it. In a checkout that is the TypeScript source itself; in the published package the
// JavaScript in dist/, because Node strips no types below node_modules. This file must stay readable for old Nodes: no new syntax.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const neededMajor = 26
const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** `src/` in a checkout, `dist/` where cidery was installed as a package. Undefined when neither is there. */
function findEntry() {
  const installed = root.split(sep).includes('node_modules')
  const source = join(root, 'src', 'main', 'cidery.ts')
  if (!installed && existsSync(source)) return source
  const built = join(root, 'dist', 'main', 'cidery.js')
  return existsSync(built) ? built : undefined
}

/** The Node that the npm package `node` brings, looked for in every node_modules above this file. */
function findNode() {
  for (let folder = root; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'node', 'bin', 'node')
    if (existsSync(candidate)) return candidate
    if (dirname(folder) === folder) return undefined
  }
}

/** Runs the same command line on another Node and ends as that one ended, with its code or by its signal. */
function runOn(node) {
  const env = Object.assign({}, process.env, { CIDERY_RELAUNCHED: '1' })
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to the child as well; passing it on would count as the second, impatient one.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`cidery could not start ${node}: ${error.message}`, 'run `npm ci` again'))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000)
  })
}

function fail(message, hint) {
  process.stderr.write(`${message}\nNext: ${hint}\n`)
  // 125 is what `cidery run` answers when cidery itself could not run the command.
  process.exit(125)
}

/** Loads the program here: it runs by being loaded, or by its `main(args)`, whose number is the exit code. */
async function runHere(entry) {
  process.argv[1] = entry
  const program = await import(pathToFileURL(entry).href)
  if (typeof program.main !== 'function') return
  const code = await program.main(process.argv.slice(2))
  if (typeof code === 'number') process.exitCode = code
}

const entry = findEntry()
const isNewEnough = Number(process.versions.node.split('.')[0]) >= neededMajor
// A Node that was brought here and is too old as well must not start itself for ever.
const node = isNewEnough || process.env.CIDERY_RELAUNCHED ? undefined : findNode()
delete process.env.CIDERY_RELAUNCHED
if (entry === undefined) {
  fail(`cidery is not complete: neither src/main/cidery.ts nor dist/main/cidery.js is in ${root}.`, 'npm run build')
} else if (isNewEnough) {
  await runHere(entry)
} else if (node === undefined) {
  fail(
    `cidery needs Node ${neededMajor} or newer; this is Node ${process.versions.node} (${process.execPath}).`,
    `install Node ${neededMajor}, or put it beside cidery with \`npm install node@${neededMajor}\``,
  )
} else {
  runOn(node)
}
