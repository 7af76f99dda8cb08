import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { RuntimeFailure } from './failures.ts'
import { hostFile, leaseFile, netPrefix, underHostLock } from './host.ts'

interface Lease {
  readonly name: string
  readonly address: string
  readonly mac: string
  /** Seconds since 1970 at which it ends. */
  readonly endsAt: number
}

const dayS = 86_400

/** macOS writes hardware addresses without leading zeros. */
function shortMac(mac: string): string {
  return mac
    .split(':')
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':')
}

function block({ name, address, mac, endsAt }: Lease): string {
  const hardware = `1,${shortMac(mac)}`
  return `{\n\tname=${name}\n\tip_address=${address}\n\thw_address=${hardware}\n\tidentifier=${hardware}\n\tlease=0x${Math.floor(endsAt).toString(16)}\n}\n`
}

function readLeases(): readonly Lease[] {
  const path = leaseFile()
  if (!existsSync(path)) return []
  const text = readFileSync(path, 'utf8')
  const blocks = text.match(/\{[^}]*\}/g) ?? []
  const rest = text.replaceAll(/\{[^}]*\}/g, '').trim()
  if (rest !== '') throw new RuntimeFailure(`failed to parse the DHCP leases file ${path}`)
  return blocks.map((each) => {
    const field = (key: string): string => new RegExp(`^\\s*${key}=(.*)$`, 'm').exec(each)?.[1] ?? ''
    const endsAt = Number.parseInt(field('lease').slice(2), 16)
    if (field('ip_address') === '' || Number.isNaN(endsAt)) throw new RuntimeFailure(`failed to parse the DHCP leases file ${path}`)
    return { name: field('name'), address: field('ip_address'), mac: field('hw_address').slice(2), endsAt }
  })
}

/** The address that a machine's hardware address has now; the newest lease counts, an ended one does not. */
export function addressOf(mac: string): string | null {
  const now = Date.now() / 1000
  const mine = readLeases().filter((lease) => lease.mac === shortMac(mac) && lease.endsAt > now)
  return mine.sort((a, b) => b.endsAt - a.endsAt)[0]?.address ?? null
}

export interface LeaseRequest {
  readonly name: string
  readonly mac: string
  readonly expired: boolean
  /** Gives an address that another guest has. */
  readonly duplicate: boolean
  /** Nothing is written, an address is given all the same. */
  readonly silent: boolean
}

/** The address for a guest, as macOS's bootpd hands it out: the same one to the same hardware address, written into the lease file. */
export function lease(request: LeaseRequest): Promise<string> {
  return underHostLock(() => {
    const leases = readLeases()
    const known = leases.find(({ mac }) => mac === shortMac(request.mac))
    const another = leases.findLast(({ mac }) => mac !== shortMac(request.mac))
    const address = request.duplicate && another !== undefined ? another.address : (known?.address ?? freeAddress(leases))
    const endsAt = Date.now() / 1000 + (request.expired ? -dayS : dayS)
    const others = leases.filter(({ mac }) => mac !== shortMac(request.mac))
    if (!request.silent) writeFileSync(leaseFile(), [...others, { ...request, address, endsAt }].map((each) => block(each)).join(''))
    return address
  })
}

function freeAddress(leases: readonly Lease[]): string {
  const used = new Set(leases.map(({ address }) => address))
  const path = hostFile('last-address')
  const last = existsSync(path) ? Number(readFileSync(path, 'utf8')) : 1
  for (let step = 1; step < 253; step += 1) {
    const part = ((last - 2 + step) % 253) + 2
    const address = `${netPrefix()}.${part}`
    if (used.has(address)) continue
    writeFileSync(path, String(part))
    return address
  }
  throw new RuntimeFailure('no address is free')
}

export function spoilLeases(): void {
  writeFileSync(leaseFile(), '{\n\tname=half\n\tip_addr', { flag: 'a' })
}
