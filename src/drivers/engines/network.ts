import { lookup } from 'node:dns/promises'
import { existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram, must, run } from './commands.ts'
import { hostRuleset, insideResolvConf, insideRuleset, linkOf, rangesOverlap, reachableResolvers, tableName } from './network-rules.ts'
import type { BlockedAddress } from './network-rules.ts'
import type { Holder } from './records.ts'

/** What an engine's networks are told apart by from those of other engines and agents. */
export interface NetworkConfig {
  /** Begins the names of links. */
  readonly prefix: string
  /** Cut into a /30 for each sandbox. */
  readonly netRange: string
  /** Name servers that sandboxes ask; empty: those of the host that can be reached from inside. */
  readonly resolvers: readonly string[]
}

export interface NetworkedSandbox {
  readonly uid: number
  /** Which /30 of the range is its own. */
  readonly networkSlot: number | null
  readonly blockedAddresses: readonly string[]
}

const forwardSwitch = '/proc/sys/net/ipv4/ip_forward'

/** Real lists of name servers where /etc/resolv.conf names only a server on loopback. */
const upstreamLists = [
  '/run/systemd/resolve/resolv.conf',
  '/run/NetworkManager/no-stub-resolv.conf',
  '/run/resolvconf/interface/systemd-resolved',
] as const

/** Name of the host's end of a sandbox's link. */
export function interfaceName(config: NetworkConfig, uid: number): string {
  return `${config.prefix}${uid}`
}

function hostAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export interface NameService {
  /** Text for resolv.conf inside; empty leaves the host's. */
  readonly text: string
  readonly resolvers: readonly string[]
  /** Where resolv.conf really is, behind its symlinks. */
  readonly path: string
}

function resolvConfPath(): string {
  try {
    return realpathSync('/etc/resolv.conf')
  } catch {
    return '/etc/resolv.conf'
  }
}

/** How names resolve inside. /run is private there, so a list that lies in it is written anew. */
export function nameService(config: NetworkConfig, network: 'nat' | 'host' | 'none'): NameService {
  const path = resolvConfPath()
  const own = readText('/etc/resolv.conf')
  if (network !== 'nat') return { text: path.startsWith('/run/') ? own : '', resolvers: [], path }
  if (config.resolvers.length > 0) return { text: insideResolvConf(own, config.resolvers), resolvers: config.resolvers, path }
  for (const text of [own, ...upstreamLists.map((list) => readText(list))]) {
    const resolvers = reachableResolvers(text, hostAddresses())
    if (resolvers.length > 0) return { text: insideResolvConf(text, resolvers), resolvers, path }
  }
  return { text: '# no name server of this host can be reached from inside', resolvers: [], path }
}

function splitPort(address: string): { readonly host: string; readonly port: number | null } {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<name>[^:]+))(?::(?<port>\d+))?$/.exec(address)
  if (match?.groups === undefined) return { host: address, port: null }
  const { six, name, port } = match.groups
  return { host: six ?? name ?? address, port: port === undefined ? null : Number(port) }
}

interface Resolved {
  readonly blocked: readonly BlockedAddress[]
  /** Names that stand for no address now. */
  readonly unknown: readonly string[]
}

async function resolveBlocked(addresses: readonly string[]): Promise<Resolved> {
  const blocked: BlockedAddress[] = []
  const unknown: string[] = []
  for (const text of addresses) {
    const { host, port } = splitPort(text)
    // A name that does not resolve from the host within 5 s does not resolve inside either, or only later.
    const found = await Promise.race([lookup(host, { all: true }).catch(() => []), sleep(5000, [])])
    if (found.length === 0) unknown.push(host)
    blocked.push(...found.map(({ address }) => ({ address, port })))
  }
  return { blocked, unknown }
}

async function uplinkMtu(): Promise<number> {
  const route = await run(['ip', '-o', 'route', 'show', 'default'])
  const device = /\bdev (\S+)/.exec(route.stdout)?.[1]
  const mtu = device === undefined ? Number.NaN : Number(readText(`/sys/class/net/${device}/mtu`))
  return Number.isInteger(mtu) && mtu >= 576 ? mtu : 1500
}

/** Says that forwarding was off before; like the switch itself it does not outlive this boot. */
const forwardMark = '/run/cidery-turned-on-forwarding'

/** Makes the host ready for `nat`: its table, and forwarding if it was off (written down first). Call under the engine's lock. */
async function prepareHost(config: NetworkConfig): Promise<void> {
  // The table comes first: as long as there is one, no other engine turns forwarding off.
  await must(['nft', '-f', '-'], { input: hostRuleset(config.prefix, config.netRange) })
  if (readText(forwardSwitch).trim() !== '0') return
  writeFileSync(forwardMark, '')
  writeFileSync(forwardSwitch, '1')
}

async function someEngineNeedsForwarding(): Promise<boolean> {
  return /^table inet cidery/m.test((await run(['nft', 'list', 'tables'])).stdout)
}

/** Takes back what `prepareHost` did, once no sandbox with `nat` is left. Call under the engine's lock. */
export async function restoreHost(config: NetworkConfig): Promise<void> {
  if (findProgram('nft') === null) return
  await run(['nft', 'delete', 'table', 'inet', tableName(config.prefix)])
  if (!existsSync(forwardMark) || (await someEngineNeedsForwarding())) return
  writeFileSync(forwardSwitch, '0')
  if (await someEngineNeedsForwarding()) writeFileSync(forwardSwitch, '1')
  else rmSync(forwardMark, { force: true })
}

/** Links a running sandbox to the outside and shuts off what it may not reach; returns what is weaker than asked. Call under the engine's lock. */
export async function connect(config: NetworkConfig, sandbox: NetworkedSandbox, holder: Holder): Promise<readonly string[]> {
  const { hostAddress, address } = linkOf(config.netRange, sandbox.networkSlot ?? 0)
  const outer = interfaceName(config, sandbox.uid)
  const inside = ['nsenter', `--net=/proc/${holder.pid}/ns/net`] as const
  const [mtu, { blocked, unknown }] = await Promise.all([uplinkMtu(), resolveBlocked(sandbox.blockedAddresses)])
  const rules = insideRuleset({
    hostAddresses: hostAddresses(),
    blocked,
    resolvers: nameService(config, 'nat').resolvers,
    netRange: config.netRange,
  })
  await prepareHost(config)
  // The rules stand before the link does.
  await must([...inside, 'nft', '-f', '-'], { input: rules })
  await must(['ip', '-batch', '-'], {
    input: `link add name ${outer} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${holder.pid}\naddr add ${hostAddress}/30 dev ${outer}\nlink set ${outer} up\n`,
  })
  await must([...inside, 'ip', '-batch', '-'], {
    input: `link set lo up\naddr add ${address}/30 dev eth0\nlink set eth0 up\nroute add default via ${hostAddress}\n`,
  })
  return unknown.map((name) => `${name} could not be shut off: it has no address now`)
}

/** Gives a sandbox without network its loopback. */
export async function loopbackOnly(holder: Holder): Promise<void> {
  await must(['nsenter', `--net=/proc/${holder.pid}/ns/net`, 'ip', 'link', 'set', 'lo', 'up'])
}

/** Host's ends of links under the engine's prefix. */
export function links(config: NetworkConfig): readonly string[] {
  const pattern = new RegExp(`^${config.prefix}\\d+$`)
  return Object.keys(interfacesInKernel()).filter((name) => pattern.test(name))
}

function interfacesInKernel(): Readonly<Record<string, true>> {
  const names = readText('/proc/net/dev')
    .split('\n')
    .slice(2)
    .map((line) => line.split(':')[0]?.trim() ?? '')
  return Object.fromEntries(names.filter(Boolean).map((name) => [name, true]))
}

/** Removes a link that outlived its namespace; the kernel does it by itself a moment after the last process. */
export async function unlink(name: string): Promise<void> {
  await run(['ip', 'link', 'delete', 'dev', name])
}

/** Why `nat` does not work here, or null. Tries the kernel, not only the programs. */
export async function natProblem(config: NetworkConfig): Promise<string | null> {
  if (findProgram('nft') === null) return 'network nat needs nft: apt-get install nftables'
  if (findProgram('ip') === null) return 'network nat needs ip: apt-get install iproute2'
  const trial = await run(['unshare', '--net', program('nft'), '-f', '-'], {
    input: insideRuleset({ hostAddresses: [], blocked: [], resolvers: [], netRange: config.netRange }),
  })
  if (trial.code !== 0) return `network nat does not work in this kernel: ${trial.stderr.trim().split('\n')[0] ?? ''}`
  const routes = await run(['ip', '-o', '-4', 'route', 'show', 'table', 'main'])
  const clash = routes.stdout
    .split('\n')
    .filter((line) => /^\d/.test(line) && !line.includes(` dev ${config.prefix}`))
    .map((line) => line.split(' ')[0] ?? '')
    .map((range) => (range.includes('/') ? range : `${range}/32`))
    .find((range) => rangesOverlap(range, config.netRange))
  return clash === undefined ? null : `network nat: the range ${config.netRange} is in use here (${clash}); set another netRange`
}

function program(name: string): string {
  return findProgram(name) ?? name
}
