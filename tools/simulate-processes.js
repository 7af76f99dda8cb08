import { fork } from 'node:child_process'
import { join } from 'node:path'
import { root } from './run.js'

/** A process that says nothing for so long is in a loop. */
const silentMs = 30 * 60_000
/** A process is put away after so many seeds, with all that it may have kept. */
const seedsPerProcess = 25

/**
 * Runs seeds in so many processes until `nextSeed` gives null. `heard(message, seed)` gets what tools/simulate-worker.js sends, and of a seed that its
 * process ended over `{ kind: 'ended', how }`.
 */
export async function inProcesses(count, { task, nextSeed, heard }) {
  await Promise.all(Array.from({ length: count }, () => lane({ task, nextSeed, heard })))
}

async function lane({ task, nextSeed, heard }) {
  let child = null
  let served = 0
  for (let seed = nextSeed(); seed !== null; seed = nextSeed()) {
    child ??= startProcess()
    const how = await oneSeed(child, { ...task, seed }, heard)
    if (how !== null) heard({ kind: 'ended', how }, seed)
    served = how === null ? served + 1 : 0
    if (how === null && served % seedsPerProcess > 0) continue
    if (child.connected) child.disconnect()
    child = null
  }
  if (child?.connected) child.disconnect()
}

/** One that is in a loop does not hear that this process ends: it is killed then. */
function startProcess() {
  const child = fork(join(root, 'tools', 'simulate-worker.js'), { cwd: root, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  return child
}

/** Resolves with null when the seed is done, else with how its process ended. */
function oneSeed(child, task, heard) {
  return new Promise((resolve) => {
    let timer
    function watch() {
      clearTimeout(timer)
      timer = setTimeout(() => child.kill('SIGKILL'), silentMs)
    }
    function done(how) {
      clearTimeout(timer)
      child.off('message', hear)
      child.off('exit', ended)
      resolve(how)
    }
    function hear(message) {
      watch()
      if (message.kind === 'free') done(null)
      else heard(message, task.seed)
    }
    function ended(code, signal) {
      done(signal === 'SIGKILL' ? 'was killed, or said nothing for half an hour' : `ended with ${signal ?? code}`)
    }
    child.on('message', hear)
    child.once('exit', ended)
    child.send(task)
    watch()
  })
}
