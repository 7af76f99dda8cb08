// What a search of simulated seeds has seen, in blocks: each the seeds that one commit was asked for, with its figures.

/** A block with nothing in it yet. `hours` and `hosts` are those of each seed. */
export function newBlock({ commit, node, hours, hosts, at }) {
  return {
    commit,
    node,
    hours,
    hosts,
    startedAt: at,
    good: [],
    hostHours: 0,
    jobs: { accepted: 0, ended: 0 },
    faults: {},
    cpuS: 0,
    wallS: 0,
    longestRestMs: 0,
    violations: [],
  }
}

/** The block of this commit and size; a new one at the end when there is none. */
export function blockOf(blocks, wanted) {
  const found = blocks.find((block) => ['commit', 'hours', 'hosts'].every((name) => block[name] === wanted[name]))
  return found === undefined ? { blocks: [...blocks, newBlock(wanted)], index: blocks.length } : { blocks, index: blocks.indexOf(found) }
}

/** What a seed gave that gave nothing. */
export const noResult = { violation: null, faults: {}, jobs: { accepted: 0, ended: 0 }, restMs: null, cpuS: 0, hostHours: 0 }

/** Adds what one seed gave: a good one counts for good, another with its violation. Figures count of both. */
export function withResult(block, { seed, violation, faults, jobs, restMs, cpuS, hostHours }) {
  return {
    ...block,
    ...(violation === null
      ? { good: withSeed(block.good, seed) }
      : { violations: [...block.violations, { seed, ...violation, script: null }] }),
    hostHours: block.hostHours + hostHours,
    jobs: { accepted: block.jobs.accepted + jobs.accepted, ended: block.jobs.ended + jobs.ended },
    faults: faultsOf([block, { faults }]),
    cpuS: block.cpuS + cpuS,
    longestRestMs: Math.max(block.longestRestMs, restMs ?? 0),
  }
}

/** Says where the script of a seed's violation lies. */
export function withScript(block, seed, script) {
  return { ...block, violations: block.violations.map((each) => (each.seed === seed ? { ...each, script } : each)) }
}

/**
 * Seeds still to be run. What was found good stays good, whichever commit found it; what broke under this commit broke, and what broke under
 * another is looked at again.
 */
export function seedsLeft(blocks, { commit, hours, hosts, from, count }) {
  const alike = blocks.filter((block) => block.hours === hours && block.hosts === hosts)
  const good = alike.flatMap((block) => block.good)
  const broken = new Set(alike.filter((block) => block.commit === commit).flatMap((block) => block.violations.map(({ seed }) => seed)))
  return Array.from({ length: count }, (_, index) => from + index).filter(
    (seed) => !broken.has(seed) && !good.some(([first, last]) => seed >= first && seed <= last),
  )
}

/** Ranges of seeds, each first and last, in order, with one more in it. */
function withSeed(ranges, seed) {
  const merged = []
  for (const [first, last] of [...ranges, [seed, seed]].toSorted(([one], [other]) => one - other)) {
    const before = merged.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return merged
}

export function countOf(ranges) {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

/** Rows of the table that ends a search, the head first: a row per block, and all together. */
export function summaryRows(blocks) {
  const head = [
    'commit',
    'hours × hosts',
    'seeds',
    'host-hours',
    'jobs',
    'faults',
    'violations',
    'CPU',
    'wall',
    'per CPU s',
    'longest rest',
  ]
  const rows = blocks.map((block) => [block.commit, `${block.hours} × ${block.hosts}`, ...figures(block)])
  const sum = (of) => blocks.reduce((total, block) => total + of(block), 0)
  const all = {
    good: blocks.flatMap((block) => block.good),
    violations: blocks.flatMap((block) => block.violations),
    hostHours: sum((block) => block.hostHours),
    jobs: { accepted: sum((block) => block.jobs.accepted) },
    faults: faultsOf(blocks),
    cpuS: sum((block) => block.cpuS),
    wallS: sum((block) => block.wallS),
    longestRestMs: Math.max(0, ...blocks.map((block) => block.longestRestMs)),
  }
  return [head, ...rows, ['all', '', ...figures(all)]]
}

function figures({ good, violations, hostHours, jobs, faults, cpuS, wallS, longestRestMs }) {
  const faultCount = Object.values(faults).reduce((sum, count) => sum + count, 0)
  return [
    countOf(good) + violations.length,
    Math.round(hostHours).toLocaleString('en'),
    jobs.accepted.toLocaleString('en'),
    faultCount.toLocaleString('en'),
    violations.length,
    `${(cpuS / 60).toFixed(1)} min`,
    `${(wallS / 60).toFixed(1)} min`,
    cpuS === 0 ? '–' : (hostHours / cpuS).toFixed(1),
    `${(longestRestMs / 60_000).toFixed(1)} min`,
  ]
}

/** Faults by kind over all blocks. */
export function faultsOf(blocks) {
  const sums = {}
  for (const { faults } of blocks) for (const [kind, count] of Object.entries(faults)) sums[kind] = (sums[kind] ?? 0) + count
  return sums
}
