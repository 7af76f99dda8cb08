import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'

/** Which controllers to talk to, how to trust them, and who we are. */
export interface Connection {
  /** Any of them serves; the first is asked first. */
  readonly urls: readonly [URL, ...URL[]]
  /** CA (PEM) that must have signed the server's certificate; undefined: those of the system, or plain HTTP on loopback. */
  readonly trust: string | undefined
  readonly token: string | undefined
  /** Where each came from, for `doctor` and `state info`. */
  readonly sources: { readonly url: string; readonly token: string; readonly trust: string }
}

interface ControllerFile {
  readonly url: string
  readonly caFingerprint: string | null
}

/** The state directory that commands look at when no URL is named: `CIDERY_STATE`, `/var/lib/cidery` for root, else `~/.local/state/cidery`. */
export function stateDirectory(cli: Pick<Cli, 'env' | 'uid' | 'home' | 'cwd'>): string {
  const named = cli.env['CIDERY_STATE']
  if (named !== undefined && named !== '') return resolve(cli.cwd, named)
  if (cli.uid === 0) return '/var/lib/cidery'
  return join(cli.env['XDG_STATE_HOME'] || join(cli.home, '.local', 'state'), 'cidery')
}

/**
 * Finds controller, trust and credential from options, environment and state directory. Throws UNREACHABLE when no controller is
 * named anywhere, TLS_REQUIRED for plain HTTP off loopback, INVALID_INPUT for an address that is none.
 */
export async function findConnection(cli: Cli): Promise<Connection> {
  const state = stateDirectory(cli)
  const file = await readControllerFile(state)
  const named = cli.settings.url ?? (cli.env['CIDERY_URL'] || undefined)
  const address = named ?? file?.url
  if (address === undefined) {
    throw new CideryError('UNREACHABLE', `no controller is named, and none has left its address in ${state}`, {
      hint: 'start one with `cidery up`, or name one with --url or CIDERY_URL',
    })
  }
  const urls = readAddresses(address)
  const stateNamed = (cli.env['CIDERY_STATE'] ?? '') !== ''
  const ours = file !== undefined && urls.every((url) => belongsTo(url, file, stateNamed))
  const token = await findToken(cli, state, ours)
  const secure = urls.filter(({ protocol }) => protocol === 'https:')
  const trust =
    secure.length > 0 ? await findTrust(cli, { urls: secure, state, ours, file }) : { pem: undefined, source: 'plain HTTP on loopback' }
  return { urls, trust: trust.pem, token: token.value, sources: { url: sourceOfUrl(cli, state), token: token.source, trust: trust.source } }
}

function sourceOfUrl(cli: Cli, state: string): string {
  if (cli.settings.url !== undefined) return '--url'
  return cli.env['CIDERY_URL'] ? 'CIDERY_URL' : join(state, 'controller.json')
}

function readAddresses(text: string): readonly [URL, ...URL[]] {
  const [first, ...others] = text.split(',').map((address) => {
    const url = readAddress(address.trim())
    if (url.protocol === 'https:' || isLoopback(url.hostname)) return url
    throw new CideryError('TLS_REQUIRED', `${url.origin} is plain HTTP on another machine: credentials would travel in the clear`, {
      hint: `use https://${url.host}`,
    })
  })
  // Splitting gives one part at least.
  return [first as URL, ...others]
}

function readAddress(address: string): URL {
  try {
    const url = new URL(/^https?:\/\//.test(address) ? address : `https://${address}`)
    url.pathname = url.pathname.replace(/\/+$/, '')
    return url
  } catch (cause) {
    throw new CideryError('INVALID_INPUT', `'${address}' is no address of a controller`, {
      hint: 'for example https://ci.example.com:8443',
      cause,
    })
  }
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

/** The state directory's own token goes only to its own controller: the same port on this machine, or where the person named both. */
function belongsTo(url: URL, file: ControllerFile, stateNamed: boolean): boolean {
  if (stateNamed) return true
  const own = readAddress(file.url)
  return own.origin === url.origin || (isLoopback(url.hostname) && own.port === url.port)
}

async function readControllerFile(state: string): Promise<ControllerFile | undefined> {
  const text = await readIfThere(join(state, 'controller.json'))
  if (text === undefined) return undefined
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || !('url' in value) || typeof value.url !== 'string') return undefined
  const fingerprint = 'caFingerprint' in value && typeof value.caFingerprint === 'string' ? value.caFingerprint : null
  return { url: value.url, caFingerprint: fingerprint }
}

async function findToken(cli: Cli, state: string, ours: boolean): Promise<{ readonly value: string | undefined; readonly source: string }> {
  const named = cli.env['CIDERY_TOKEN']
  if (named !== undefined && named !== '') return { value: named.trim(), source: 'CIDERY_TOKEN' }
  const path = cli.env['CIDERY_TOKEN_FILE']
  if (path !== undefined && path !== '') {
    const text = await readIfThere(resolve(cli.cwd, path))
    if (text === undefined) throw new CideryError('UNAUTHENTICATED', `there is no token file ${path}`, { hint: 'check CIDERY_TOKEN_FILE' })
    return { value: text.trim(), source: `CIDERY_TOKEN_FILE (${path})` }
  }
  if (!ours) return { value: undefined, source: 'none' }
  const own = join(state, 'admin.token')
  const text = await readIfThere(own)
  return text === undefined ? { value: undefined, source: 'none' } : { value: text.trim(), source: own }
}

interface TrustQuestion {
  readonly urls: readonly URL[]
  readonly state: string
  readonly ours: boolean
  readonly file: ControllerFile | undefined
}

async function findTrust(
  cli: Cli,
  { urls, state, ours, file }: TrustQuestion,
): Promise<{ readonly pem: string | undefined; readonly source: string }> {
  const pin = cli.env['CIDERY_CA_FINGERPRINT'] || (ours ? (file?.caFingerprint ?? undefined) : undefined)
  const pem = ours ? await readIfThere(join(state, 'ca.pem')) : undefined
  if (pem !== undefined && (pin === undefined || sameFingerprint(fingerprintOf(pem), pin))) return { pem, source: join(state, 'ca.pem') }
  if (pin === undefined) return { pem: undefined, source: 'certificates of the system' }
  return { pem: await fetchFromAny(cli, urls, pin), source: `fingerprint ${pin.slice(0, 16)}…` }
}

/** All controllers of a fleet have one CA: the first that shows it tells for all. */
async function fetchFromAny(cli: Cli, urls: readonly URL[], pin: string): Promise<string> {
  for (const [index, url] of urls.entries()) {
    try {
      return await fetchPinned(cli, url, pin)
    } catch (error) {
      if (index === urls.length - 1) throw error
    }
  }
  throw new CideryError('UNREACHABLE', 'no controller is named')
}

/** Fetches the controller's CA without trust, sends nothing with it, and keeps it only when its fingerprint is the known one. */
async function fetchPinned(cli: Cli, url: URL, pin: string): Promise<string> {
  let pem = ''
  try {
    const answer = await cli.transport.send({
      method: 'GET',
      url: new URL(`${url.pathname}/api/ca.pem`.replace(/^\/+/, '/'), url),
      headers: {},
      idleMs: 15_000,
      untrusted: true,
    })
    for await (const chunk of answer.body) {
      pem += Buffer.from(chunk).toString('utf8')
      if (pem.length > 65_536) break
    }
  } catch (cause) {
    throw new CideryError('UNREACHABLE', `${url.origin} did not answer`, { hint: 'cidery doctor', cause })
  }
  if (!/-----BEGIN CERTIFICATE-----/.test(pem) || !sameFingerprint(fingerprintOf(pem), pin)) {
    throw new CideryError(
      'UNREACHABLE',
      `${url.origin} shows another CA than the pinned one: this is not the controller you enrolled with`,
      {
        hint: 'compare CIDERY_CA_FINGERPRINT with `cidery state info` on the controller itself',
      },
    )
  }
  return pem
}

/** SHA-256 of a certificate in lower-case hex. */
export function fingerprintOf(pem: string): string {
  return plainHex(new X509Certificate(pem).fingerprint256)
}

function sameFingerprint(a: string, b: string): boolean {
  return plainHex(a) === plainHex(b)
}

function plainHex(text: string): string {
  return text
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase()
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EACCES'))
      return undefined
    throw error
  }
}
