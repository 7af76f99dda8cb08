// Brings the real things that suites need, and only what is missing. On Debian as root they come as packages; elsewhere it says what
// to install. No service is started by an install, nor at the next boot.
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { components, isDebian } from './components.js'
import { endOnSignals, run } from './run.js'
import { suites } from './suites.js'

const policy = '/usr/sbin/policy-rc.d'
const kept = `${policy}.kept-by-cidery`
const ours = '#!/bin/sh\n# No service starts while cidery installs the components of its tests.\nexit 101\n'

/** Debian's packages ask this file before they start a service. One that was there before is put back afterwards. */
function barServices() {
  // A run that was killed may have left its file and the kept one.
  if (existsSync(policy) && readFileSync(policy, 'utf8') !== ours) renameSync(policy, kept)
  writeFileSync(policy, ours)
  chmodSync(policy, 0o755)
}

function unbarServices() {
  if (existsSync(policy) && readFileSync(policy, 'utf8') === ours) rmSync(policy)
  if (existsSync(kept)) renameSync(kept, policy)
}

async function aptGet(args) {
  const options = ['-y', '-q', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=300']
  const { code, output } = await run(['apt-get', ...options, ...args], {
    timeoutMs: 15 * 60_000,
    env: { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l' },
  })
  return code === 0 ? undefined : output.trim().split('\n').slice(-6).join('\n')
}

async function disableUnits(names) {
  for (const unit of names.flatMap((name) => components[name].units ?? [])) {
    // Fails for a unit that this version of the package does not have; then there is nothing to switch off.
    await run(['systemctl', 'disable', unit], { timeoutMs: 60_000 })
  }
}

async function installPackages(names) {
  const packages = [...new Set(names.flatMap((name) => components[name].debian))]
  console.log(`Installing ${packages.join(', ')}`)
  const policyGoesOnExit = () => unbarServices()
  process.once('exit', policyGoesOnExit)
  barServices()
  try {
    // Old package lists name files that are gone; when updating fails (no network), the lists that are there may still do.
    await aptGet(['update'])
    const problem = await aptGet(['install', ...packages])
    if (problem !== undefined) console.error(problem)
    await disableUnits(names)
  } finally {
    unbarServices()
    process.off('exit', policyGoesOnExit)
  }
}

function whyMissing(name) {
  const component = components[name]
  if (component.debian === undefined) return `${name} is missing: ${component.by} brings it`
  const packages = component.debian.join(' ')
  if (!isDebian()) return `${name} is missing, and this is not Debian: install what Debian calls ${packages}`
  if (process.getuid() !== 0) return `${name} is missing, and only root can install it: apt-get install ${packages}`
  return `${name} is missing, and installing ${packages} failed`
}

/**
 * Installs what is missing of the named components, and returns those still missing with the reason: `Map { name → sentence }`.
 *
 * @example await ensureComponents(['git']) // Map {}
 */
export async function ensureComponents(names) {
  const unknown = names.filter((name) => components[name] === undefined)
  if (unknown.length > 0) throw new Error(`there is no component "${unknown[0]}" in tools/components.js`)
  const missing = names.filter((name) => !components[name].found())
  const installable = missing.filter((name) => components[name].debian !== undefined)
  if (installable.length > 0 && isDebian() && process.getuid() === 0) await installPackages(installable)
  const problems = new Map()
  for (const name of missing) problems.set(name, await components[name].install?.())
  const still = missing.filter((name) => !components[name].found())
  return new Map(still.map((name) => [name, problems.get(name) ?? whyMissing(name)]))
}

if (import.meta.main) {
  endOnSignals()
  const here = suites.filter((suite) => [undefined, 'any', process.platform].includes(suite.platform))
  const asked = process.argv.slice(2)
  const names = asked.length > 0 ? asked : [...new Set(here.flatMap((suite) => suite.needs ?? []))]
  const missing = await ensureComponents(names)
  for (const name of names) console.log(missing.get(name) ?? `${name}: there`)
  process.exitCode = missing.size > 0 ? 1 : 0
}
