import type { Host, Repair } from '../model/host.ts'
import type { Step } from '../model/plan.ts'
import type { Ledger, Scene } from './check-assign.ts'
import { poolNameOf } from './pools.ts'
import { mostReboots } from './repairs.ts'

type RepairStep = Extract<Step, { kind: 'rebootHost' | 'returnHost' }>

/** What is wrong with restarting a host, or with giving it jobs again; null: nothing, and the ledger has the restart. */
export function checkRepair(step: RepairStep, scene: Scene, ledger: Ledger): string | null {
  const host = scene.world.hosts.get(step.hostId)
  if (host === undefined || host.state !== 'up') return `the host is ${host?.state ?? 'gone'}`
  if (host.generation !== step.hostGeneration) return `decided under generation ${step.hostGeneration}, it is ${host.generation} now`
  const repair = host.schedulable.kind === 'quarantined' ? host.schedulable.repair : undefined
  if (repair === undefined) return 'cidery does not repair the host'
  return step.kind === 'returnHost' ? checkReturn(host, repair) : checkReboot({ host, repair }, scene, ledger)
}

function checkReturn({ facts }: Host, { engines }: Repair): string | null {
  return (facts?.needsReboot ?? []).some(({ engine }) => engines.includes(engine)) ? 'the host needs a restart' : null
}

function checkReboot({ host, repair }: { readonly host: Host; readonly repair: Repair }, scene: Scene, ledger: Ledger): string | null {
  if (host.facts?.mayReboot === false) return 'the agent may not restart the host'
  if (repair.tries >= mostReboots) return `the host was restarted ${mostReboots} times already`
  const problem = inUse(host.id, scene) ?? tooMany(host, scene, ledger)
  if (problem === null) ledger.rebooting.add(host.id)
  return problem
}

function inUse(id: string, { world }: Scene): string | null {
  for (const { attempt } of world.attempts.values()) if (attempt.hostId === id) return 'a job may be alive on the host'
  for (const { hostId, state } of world.sandboxes.values()) if (hostId === id && state !== 'failed') return 'a sandbox is on the host'
  for (const { hostId } of world.operations.values()) if (hostId === id) return 'the host has an operation'
  return null
}

function tooMany(host: Host, { world, spec, now }: Scene, ledger: Ledger): string | null {
  const name = poolNameOf(spec, host)
  const policy = spec.pools[name]?.repair
  if (policy === undefined) return 'the host belongs to no pool'
  if (host.repairedAt !== null && now < host.repairedAt + policy.rebootEvery) return 'the host was restarted lately'
  let away = 0
  for (const other of ledger.rebooting) {
    const found = world.hosts.get(other)
    // One that left the fleet is nobody's turn any more, whatever was asked of it.
    if (found !== undefined && found.state !== 'retired' && poolNameOf(spec, found) === name) away += 1
  }
  return away < policy.reboots ? null : `${away} hosts of the pool are being restarted`
}
