import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

function lines(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}

function networkNamespaces() {
  return existsSync('/run/netns') ? readdirSync('/run/netns') : []
}

function firewallTables() {
  try {
    return execFileSync('nft', ['list', 'tables'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .filter(Boolean)
  } catch {
    // No nft, or not root: then no test of ours made a table either.
    return []
  }
}

/** What a suite could leave on the machine: accounts, mounts, network namespaces, firewall tables. Linux only; elsewhere empty. */
export function survey() {
  if (process.platform !== 'linux') return new Map()
  return new Map([
    ['account', new Set(lines('/etc/passwd').map((line) => line.split(':')[0]))],
    ['mount', new Set(lines('/proc/self/mounts').map((line) => line.split(' ')[1]))],
    ['network namespace', new Set(networkNamespaces())],
    ['firewall table', new Set(firewallTables())],
  ])
}

/** What is there now and was not before, as sentences. */
export function leftSince(before) {
  const left = []
  for (const [kind, now] of survey()) {
    for (const name of now) if (!before.get(kind)?.has(name)) left.push(`${kind} ${name}`)
  }
  return left
}

/** Living processes that carry `NAME=value` in the environment they were started with, as `{ pid, command }`. Linux only. */
export function processesWith(mark) {
  if (process.platform !== 'linux') return []
  const found = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (Number(pid) === process.pid || !readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark)) continue
      found.push({ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() })
    } catch {
      // The process ended while we looked, or belongs to somebody else.
    }
  }
  return found
}
