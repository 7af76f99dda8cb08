import type { WaitingCode } from '../model/plan.ts'
import type { JobClass } from '../model/world.ts'
import type { HostGroup } from './fleet.ts'

export interface Told {
  readonly hosts: string
  readonly name: string
  readonly groups: readonly HostGroup[]
  readonly jobClass: JobClass
  /** Whether cidery builds or fetches the image. */
  readonly isManaged: boolean
}

interface Text {
  readonly message: string
  readonly cure: string
}

/** What is told of hosts together, since it is the same on all of them. */
export const sharedTexts: { readonly [code in WaitingCode]?: (told: Told) => Text } = {
  engineUnsupported: ({ hosts, jobClass }) => ({
    message: `engine ${jobClass.engine} on ${hosts} runs no images`,
    cure: 'leave the image away, or use an engine that boots images',
  }),
  networkUnsupported: ({ hosts, name, groups, jobClass }) => {
    const message = `${hosts} cannot give engine ${jobClass.engine} the network "${jobClass.network}"`
    const why = networkProblem(groups[0], jobClass)
    if (why === null) return { message, cure: `ask for another network, or add it to pools.<pool>.engines.${jobClass.engine}.networks` }
    return { message: `${message}: ${why}`, cure: `mend it there (cidery host show ${name}), or ask for another network` }
  },
  limitUnenforceable: ({ hosts, groups, jobClass }) => ({
    message: `${hosts} cannot enforce limits of ${groups[0]?.view.engines.get(jobClass.engine)?.unenforced.join(', ') ?? ''} for engine ${jobClass.engine}`,
    cure: `set pools.<pool>.engines.${jobClass.engine}.limits: advisory to count them only, or use another pool`,
  }),
  tooLarge: ({ hosts, groups, jobClass }) => ({
    message: `the job is larger than ${hosts}: ${largest(groups, jobClass)}`,
    cure: 'ask for less CPU, memory or disk, or add a larger host',
  }),
  imageMissing: ({ hosts, name, jobClass, isManaged }) => ({
    message: `image ${jobClass.image ?? ''} is not on ${hosts}`,
    cure: isManaged ? `cidery explain image/${jobClass.image ?? ''}` : `wait until it is pulled, or cidery host show ${name}`,
  }),
  readinessUnknown: ({ hosts, name, jobClass }) => ({
    message: `${hosts} did not prove lately that ${proofOf(jobClass)} starts`,
    cure: `wait for the next probe, or cidery host probe ${name}`,
  }),
  hostNotReady: ({ hosts, name, groups, jobClass }) => ({
    message: `${hosts} cannot start ${proofOf(jobClass)}: ${unreadyText(groups[0], jobClass)}`,
    cure: `cidery host show ${name}`,
  }),
}

function proofOf(jobClass: JobClass): string {
  return jobClass.image === null ? `a ${jobClass.engine} sandbox` : `image ${jobClass.image}`
}

/** What the host itself lacks for a network, in its own words; null when only the pool does not allow it. */
function networkProblem(group: HostGroup | undefined, { engine, network }: JobClass): string | null {
  const facts = group?.view.engines.get(engine)?.facts
  if (facts === undefined || facts.capabilities.networks.includes(network)) return null
  return facts.problems.find((problem) => problem.includes(`network ${network}`)) ?? 'its engine does not offer it'
}

function unreadyText(group: HostGroup | undefined, jobClass: JobClass): string {
  const engine = group?.view.engines.get(jobClass.engine)
  if (engine?.facts.ok === false) return engine.facts.problems[0] ?? `engine ${jobClass.engine} does not work there`
  const verdict = engine?.verdicts.get(jobClass.image ?? '')
  return verdict === undefined || verdict.state === 'ready' ? 'it was not proved' : verdict.reason
}

/** The first resource that no host has enough of, with what the job wants and what the largest host has. */
function largest(groups: readonly HostGroup[], jobClass: JobClass): string {
  const parts = [
    ['CPU', 'cpu', ''],
    ['memory', 'memoryMiB', ' MiB'],
    ['disk', 'diskMiB', ' MiB'],
  ] as const
  const found = parts
    .map(([name, key, unit]) => ({
      name,
      unit,
      wanted: jobClass.shape[key],
      most: Math.max(...groups.map((group) => group.view.capacity?.[key] ?? 0)),
    }))
    .filter((part) => part.wanted > part.most)
    .map((part) => `it wants ${part.wanted}${part.unit} of ${part.name}, the largest has ${part.most}${part.unit}`)
  return found[0] ?? 'no single host has enough of all it wants'
}
