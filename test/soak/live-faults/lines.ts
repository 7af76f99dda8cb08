import { must } from '../../../src/drivers/engines/commands.ts'

/** Where the controllers are, for every host: an address of its own, so that no host's line is nearer than another's. */
export const controllerAddress = '10.77.255.1'

/** The line of one host: its network namespace, and the near end of the wire that leads there. */
export interface Line {
  readonly namespace: string
  readonly near: string
}

const far = 'wire0'

export async function layGround(): Promise<void> {
  await must(['ip', 'addr', 'add', `${controllerAddress}/32`, 'dev', 'lo'])
}

/** Gives a host a network of its own, with one line to the controllers. `number`: 1 … 250. */
export async function layLine(number: number): Promise<Line> {
  const line = { namespace: `host-${number}`, near: `near${number}` }
  const { namespace, near } = line
  const gateway = `10.77.${number}.1`
  await must(['ip', 'netns', 'add', namespace])
  await must(['ip', '-batch', '-'], {
    input: `link add ${near} type veth peer name ${far} netns ${namespace}\naddr add ${gateway}/30 dev ${near}\nlink set ${near} up\n`,
  })
  await must(['ip', '-n', namespace, '-batch', '-'], {
    input: `link set lo up\naddr add 10.77.${number}.2/30 dev ${far}\nlink set ${far} up\nroute add default via ${gateway}\n`,
  })
  return line
}

export async function removeLine({ namespace }: Line): Promise<void> {
  await must(['ip', 'netns', 'del', namespace])
}

export async function pullPlug({ near }: Line): Promise<void> {
  await must(['ip', 'link', 'set', near, 'down'])
}

export async function plugIn({ near }: Line): Promise<void> {
  await must(['ip', 'link', 'set', near, 'up'])
}

/** Loses so many of a hundred packets, in both directions. */
export async function losePackets({ namespace }: Line, percent: number): Promise<void> {
  const chain = (hook: 'input' | 'output', word: 'iifname' | 'oifname') =>
    `chain ${hook} {\ntype filter hook ${hook} priority 0\n${word} ${far} numgen random mod 100 < ${percent} drop\n}\n`
  const rules = `table ip losses {\n${chain('input', 'iifname')}${chain('output', 'oifname')}}\n`
  await must(['ip', 'netns', 'exec', namespace, 'nft', '-f', '-'], { input: rules })
}

export async function losePacketsNoMore({ namespace }: Line): Promise<void> {
  await must(['ip', 'netns', 'exec', namespace, 'nft', 'delete', 'table', 'ip', 'losses'])
}

/** Lets through so many kilobits a second, in each direction. */
export async function narrow({ namespace, near }: Line, kilobits: number): Promise<void> {
  const bucket = ['root', 'tbf', 'rate', `${kilobits}kbit`, 'burst', '16kb', 'latency', '2s']
  await must(['tc', 'qdisc', 'add', 'dev', near, ...bucket])
  await must(['tc', '-n', namespace, 'qdisc', 'add', 'dev', far, ...bucket])
}

export async function widen({ namespace, near }: Line): Promise<void> {
  await must(['tc', 'qdisc', 'del', 'dev', near, 'root'])
  await must(['tc', '-n', namespace, 'qdisc', 'del', 'dev', far, 'root'])
}

/** What of all this is still in force on a line. */
export async function leftOn({ namespace, near }: Line): Promise<readonly string[]> {
  const tables = await must(['ip', 'netns', 'exec', namespace, 'nft', 'list', 'tables'])
  const queues = await must(['tc', 'qdisc', 'show', 'dev', near])
  const farQueues = await must(['tc', '-n', namespace, 'qdisc', 'show', 'dev', far])
  const rules = tables.split('\n').filter((table) => table.includes('losses'))
  return [...rules, ...`${queues}${farQueues}`.split('\n').filter((queue) => queue.includes('tbf'))].map(
    (thing) => `${namespace}: ${thing}`,
  )
}
