/** An address that a sandbox must not reach; without a port, all of it. */
export interface BlockedAddress {
  readonly address: string
  readonly port: number | null
}

/** What answers a machine's questions about itself in clouds: link-local as a whole, and the ones with public-looking addresses. */
const metadataAddresses = ['169.254.0.0/16', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'] as const

/** The host's and the sandbox's end of one /30 of the range. */
export interface Link {
  readonly hostAddress: string
  readonly address: string
}

function toNumber(address: string): number {
  return address.split('.').reduce((total, part) => total * 256 + Number(part), 0)
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

function readRange(range: string): { readonly first: number; readonly count: number } {
  const [address = '', bits = ''] = range.split('/')
  return { first: toNumber(address), count: 2 ** (32 - Number(bits)) }
}

/** How many sandboxes the range has networks for. */
export function linkCount(range: string): number {
  return Math.floor(readRange(range).count / 4)
}

/** Addresses of one sandbox. @example linkOf('198.18.0.0/16', 1) // { hostAddress: '198.18.0.5', address: '198.18.0.6' } */
export function linkOf(range: string, slot: number): Link {
  const base = readRange(range).first + slot * 4
  return { hostAddress: toAddress(base + 1), address: toAddress(base + 2) }
}

/** Whether two IPv4 ranges share an address. */
export function rangesOverlap(one: string, other: string): boolean {
  const [a, b] = [readRange(one), readRange(other)]
  return a.first < b.first + b.count && b.first < a.first + a.count
}

/** Addresses of `nameserver` lines that a sandbox can ask: not loopback, not the host itself, IPv4. */
export function reachableResolvers(resolvConf: string, hostAddresses: readonly string[]): readonly string[] {
  const servers = [...resolvConf.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address]) => address ?? '')
  return servers.filter(
    (address) => /^\d+\.\d+\.\d+\.\d+$/.test(address) && !address.startsWith('127.') && !hostAddresses.includes(address),
  )
}

/** The text of resolv.conf inside: the host's, with only the servers that can be reached from there. */
export function insideResolvConf(resolvConf: string, resolvers: readonly string[]): string {
  const rest = resolvConf.split('\n').filter((line) => /^\s*(?:search|domain|options)\s/.test(line))
  return [...resolvers.map((address) => `nameserver ${address}`), ...rest].join('\n')
}

export interface InsideRules {
  readonly hostAddresses: readonly string[]
  readonly blocked: readonly BlockedAddress[]
  readonly resolvers: readonly string[]
  /** The engine's whole range: other jobs. */
  readonly netRange: string
}

function isIPv4(address: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(address)
}

/** Rules of the sandbox's own network namespace, set by root before any of the job's processes exist; the job may not change them. */
export function insideRuleset({ hostAddresses, blocked, resolvers, netRange }: InsideRules): string {
  const refuse = 'reject with icmp type admin-prohibited'
  const servers = resolvers.filter((address) => isIPv4(address))
  const set = (addresses: readonly string[]): string => `{ ${addresses.join(', ')} }`
  const ported = blocked.filter(({ address, port }) => isIPv4(address) && port !== null)
  const whole = blocked.filter(({ address, port }) => isIPv4(address) && port === null).map(({ address }) => address)
  const own = [...new Set([...hostAddresses.filter((address) => isIPv4(address) && !address.startsWith('127.')), ...whole])]
  return [
    'table inet cidery {',
    '  chain output {',
    '    type filter hook output priority 0; policy accept;',
    '    oifname "lo" accept',
    '    meta nfproto ipv6 reject with icmpv6 type admin-prohibited',
    ...ported.map(({ address, port }) => `    ip daddr ${address} tcp dport ${String(port)} reject with tcp reset`),
    ...(own.length === 0 ? [] : [`    ip daddr ${set(own)} ${refuse}`]),
    ...(servers.length === 0 ? [] : [`    ip daddr ${set(servers)} meta l4proto { tcp, udp } th dport 53 accept`]),
    `    ip daddr ${set([...metadataAddresses, netRange])} ${refuse}`,
    '  }',
    '  chain input {',
    '    type filter hook input priority 0; policy drop;',
    '    iifname "lo" accept',
    '    ct state established,related accept',
    '  }',
    '}',
    '',
  ].join('\n')
}

/** Name of the host's table for an account prefix. */
export function tableName(prefix: string): string {
  return prefix === 'bk-' ? 'cidery' : `cidery_${prefix.slice(0, -1)}`
}

/**
 * Rules of the host, the same for all sandboxes and addressed by interface name, so that nothing is left when one goes: nothing from a
 * sandbox reaches the host itself (whatever its addresses become), another sandbox or a metadata address, and nothing new gets in.
 */
export function hostRuleset(prefix: string, netRange: string): string {
  const ours = `"${prefix}*"`
  return [
    `table inet ${tableName(prefix)}`,
    `delete table inet ${tableName(prefix)}`,
    `table inet ${tableName(prefix)} {`,
    '  chain input {',
    '    type filter hook input priority -10; policy accept;',
    `    iifname ${ours} drop`,
    '  }',
    '  chain forward {',
    '    type filter hook forward priority -10; policy accept;',
    `    iifname ${ours} oifname ${ours} drop`,
    `    iifname ${ours} ip saddr != ${netRange} drop`,
    `    iifname ${ours} meta nfproto ipv6 drop`,
    `    iifname ${ours} ip daddr { ${metadataAddresses.join(', ')} } th dport != 53 drop`,
    `    iifname != ${ours} oifname ${ours} ct state new drop`,
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority 100; policy accept;',
    `    ip saddr ${netRange} oifname != ${ours} masquerade`,
    '  }',
    '}',
    '',
  ].join('\n')
}
