import { networkInterfaces, hostname } from 'node:os'
import { CideryError } from '../model/errors.ts'
import type { Log } from '../ports/log.ts'
import { isLoopback } from '../serve/access/origin.ts'
import type { StoreChoice } from './controller-store.ts'

export interface ListenAddress {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** Files of a certificate that the operator brings, instead of one by the controller's own CA. */
export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
  readonly caFile?: string
}

export interface ControllerOptions {
  /** State directory; made with mode 0700. */
  readonly stateDir: string
  readonly listen: ListenAddress
  readonly version: string
  readonly log: Log
  /** From `chooseStore`; default: SQLite in the state directory. */
  readonly store?: StoreChoice
  /** `cidery.yaml` to apply now and whenever it changes. */
  readonly specFile?: string | null
  /** Folder of logs, sources and artifacts; default: `blobs` in the state directory. The same for all controllers of a database. */
  readonly blobsDir?: string | null
  /** URL that hosts and people are told, or several with commas between; default: made from the address that is listened on. */
  readonly publicUrl?: string | null
  /** Further host names and addresses of this controller, for its certificate. */
  readonly names?: readonly string[]
  readonly tls?: TlsFiles | null
  /** Plain HTTP outside loopback, for development. */
  readonly insecureHttp?: boolean
  /** Folder of the built dashboard; null: none. */
  readonly webRoot?: string | null
  /** End gracefully on SIGTERM and SIGINT; default true. */
  readonly handleSignals?: boolean
}

export interface RunningController {
  readonly url: string
  readonly caFingerprint: string | null
  /** Id of this run (`ctl_…`). */
  readonly instance: string
  /** Where the admin's token is kept. */
  readonly tokenFile: string
  /** A URL that signs the admin in once. */
  loginUrl(): Promise<string>
  /** Ends: requests that are under way are finished, what is held in memory is written, the lead is given up. */
  close(graceMs?: number): Promise<void>
  /** Resolves when it has ended, by `close` or by a signal. */
  readonly ended: Promise<void>
}

/** `127.0.0.1:7700`, `[::1]:0`, `:7700`. Undefined for anything else. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/i.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) return undefined
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? '127.0.0.1' : host, port }
}

const everyAddress: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Names and addresses that a certificate for this address should hold. */
export function certificateNames(listen: ListenAddress, more: readonly string[]): readonly string[] {
  const names = new Set(['localhost', '127.0.0.1', '::1', ...more])
  if (everyAddress.has(listen.host)) for (const name of [hostname(), ...ownAddresses()]) names.add(name)
  else names.add(listen.host)
  return [...names]
}

/** Host names in the URLs that people are told. Throws INVALID_INPUT for what is no URL. */
export function publicNames(publicUrl: string | null): readonly string[] {
  if (publicUrl === null) return []
  return publicUrl.split(',').map((text) => {
    const url = URL.parse(text.trim())
    if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url.hostname
    throw new CideryError('INVALID_INPUT', `--public-url: '${text}' is no URL`, { hint: 'https://ci.example.com:8443' })
  })
}

function ownAddresses(): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.filter(({ address }) => !address.includes('%') && !address.startsWith('fe80:')).map(({ address }) => address)
}

/** How this machine reaches the controller, and how others do. */
export function urlsOf(
  listen: ListenAddress,
  bound: { readonly secure: boolean; readonly port: number },
): { readonly local: string; readonly others: string } {
  const scheme = bound.secure ? 'https' : 'http'
  const at = (host: string): string => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${bound.port}`
  if (!everyAddress.has(listen.host)) return { local: at(listen.host), others: at(listen.host) }
  const outward = ownAddresses().find((address) => !isLoopback(address)) ?? '127.0.0.1'
  return { local: at('127.0.0.1'), others: at(outward) }
}
