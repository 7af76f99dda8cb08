import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** The checkout these tools belong to. */
export const root = join(import.meta.dirname, '..')

/** Our tools come first on the PATH, so that every step runs on the Node that `npm ci` brought. */
function toolPath(cwd) {
  return [join(cwd, 'node_modules', '.bin'), join(root, 'node_modules', '.bin'), process.env.PATH].join(':')
}

/**
 * Runs a command to its end and returns `{ code, signal, output, seconds, timedOut }`; never throws, a command that cannot be started
 * ends with code 127. It has its own process group, which is killed when time is up, and again when the command has ended: nothing
 * that a step started outlives the step.
 *
 * @example await run(['oxlint', '--version'], { timeoutMs: 10_000 })
 */
export function run(argv, options = {}) {
  const { cwd = root, env = {}, timeoutMs = 600_000, echo = false, input } = options
  const [command, ...args] = argv
  const startedAt = performance.now()
  return new Promise((resolve) => {
    const stdio = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe']
    const child = spawn(command, args, { cwd, env: { ...process.env, PATH: toolPath(cwd), ...env }, detached: true, stdio })
    let output = ''
    let timedOut = false
    const collect = (target) => (chunk) => {
      // A runaway suite must not fill the memory; the end of the output tells what happened.
      output = (output + chunk).slice(-8_000_000)
      if (echo) target.write(chunk)
    }
    child.stdout.setEncoding('utf8').on('data', collect(process.stdout))
    child.stderr.setEncoding('utf8').on('data', collect(process.stderr))
    child.stdin?.end(input)
    const stop = () => killGroup(child.pid)
    const timer = setTimeout(() => {
      timedOut = true
      stop()
    }, timeoutMs)
    process.once('exit', stop)
    const finish = (code, signal) => {
      clearTimeout(timer)
      process.off('exit', stop)
      stop()
      resolve({ code, signal, output, timedOut, seconds: (performance.now() - startedAt) / 1000 })
    }
    child.once('error', (error) => {
      output += `${command}: ${error.message}\n`
      finish(127, null)
    })
    // `exit`, not `close`: a grandchild that keeps the pipe open must not hold the run up. It is killed in a moment.
    child.once('exit', (code, signal) => setTimeout(() => finish(code ?? 1, signal), 50))
  })
}

function killGroup(pid) {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is gone, which is what we want.
  }
}

/** Ctrl-C and a kill end the tool, and with it (on `exit`) every process group it started. */
export function endOnSignals() {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.on(signal, () => process.exit(code))
  }
}

/** Lays rows out in columns; the first row is the head. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => String(cell).padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
