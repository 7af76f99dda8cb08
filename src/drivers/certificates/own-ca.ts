import { X509Certificate, createHash } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Certificates, ServerCertificate } from '../../ports/certificates.ts'
import type { Log } from '../../ports/log.ts'
import type { Clock } from '../../ports/time.ts'
import { makeCa, makeServerCertificate } from './make-certificate.ts'
import type { KeyAndCertificate } from './make-certificate.ts'

export interface OwnCaOptions {
  /** Where keys and certificates are kept: made with mode 0700. */
  readonly directory: string
  /** Host names and addresses that the server is reached by. */
  readonly names: readonly string[]
  readonly clock: Clock
  readonly log: Log
}

const day = 86_400_000
/** The CA is pinned by every host, so changing it means visiting them all: it lives long. */
const caDays = 3_650
/** Server certificates are short, and renewed with a third of their life left. */
const serverDays = 90
const renewDays = 30
/** Clocks of hosts may be behind. */
const backdateDays = 1
const caName = 'cidery controller CA'

/**
 * Opens the controller's own CA, made at the first start (ECDSA P-256), and a server certificate for the given names that it signed.
 * Keys are files of mode 0600. Throws INTERNAL when what is stored cannot be read.
 *
 * @example const { caFingerprint } = await openOwnCa({ directory: '/var/lib/cidery/tls', names: ['ci.example', '10.0.0.5'], clock, log })
 */
export async function openOwnCa(options: OwnCaOptions): Promise<Certificates> {
  const { directory, clock, log } = options
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  const ca = (await readPair(directory, 'ca')) ?? (await firstCa(options))
  const caCertificate = new X509Certificate(ca.certificate)
  let server = await presentServer()

  async function presentServer(): Promise<ServerCertificate> {
    const stored = await readPair(directory, 'server')
    return stored !== null && isGood(stored) ? shown(stored) : makeServer()
  }

  function isGood(stored: KeyAndCertificate): boolean {
    const certificate = new X509Certificate(stored.certificate)
    const left = certificate.validToDate.getTime() - clock.now()
    return (
      left > renewDays * day && certificate.verify(caCertificate.publicKey) && options.names.every((name) => hasName(certificate, name))
    )
  }

  async function makeServer(): Promise<ServerCertificate> {
    const made = signServer(options, ca)
    await writePair(directory, 'server', made)
    log.info('made a server certificate', { names: options.names, days: serverDays })
    return shown(made)
  }

  function shown(pair: KeyAndCertificate): ServerCertificate {
    const expiresAt = new X509Certificate(pair.certificate).validToDate.getTime()
    // The CA goes along, so that a client which knows only its fingerprint can check the chain without asking elsewhere.
    return { chain: `${pair.certificate.trim()}\n${ca.certificate.trim()}\n`, key: pair.key, expiresAt }
  }

  async function renewIfDue(): Promise<boolean> {
    if (server.expiresAt - clock.now() > renewDays * day) return false
    server = await makeServer()
    return true
  }

  return { caPem: ca.certificate, caFingerprint: fingerprintOf(caCertificate), current: () => server, renewIfDue }
}

/** SHA-256 of a certificate's DER in lower-case hex: what an enrolment line carries. */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex')
}

function hasName(certificate: X509Certificate, name: string): boolean {
  return isIP(name) === 0 ? certificate.checkHost(name) !== undefined : certificate.checkIP(name) !== undefined
}

async function firstCa(options: OwnCaOptions): Promise<KeyAndCertificate> {
  const now = options.clock.now()
  const made = makeCa({ commonName: caName, notBefore: now - backdateDays * day, notAfter: now + caDays * day })
  await writePair(options.directory, 'ca', made)
  options.log.info('made the CA of this controller', { days: caDays })
  return made
}

function signServer(options: OwnCaOptions, ca: KeyAndCertificate): KeyAndCertificate {
  const now = options.clock.now()
  const caEnd = new X509Certificate(ca.certificate).validToDate.getTime()
  const validity = { notBefore: now - backdateDays * day, notAfter: Math.min(now + serverDays * day, caEnd) }
  return makeServerCertificate({ ...validity, commonName: 'cidery controller', caCommonName: caName, names: options.names }, ca)
}

async function readPair(directory: string, name: string): Promise<KeyAndCertificate | null> {
  try {
    const [key, certificate] = await Promise.all([
      readFile(join(directory, `${name}.key`), 'utf8'),
      readFile(join(directory, `${name}.pem`), 'utf8'),
    ])
    await chmod(join(directory, `${name}.key`), 0o600)
    new X509Certificate(certificate)
    return { key, certificate }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new CideryError('INTERNAL', `cannot read the certificate ${join(directory, `${name}.pem`)}`, {
      cause: error,
      hint: 'restore it from a backup; a new CA needs every host to be enrolled again',
    })
  }
}

/** The key first: a certificate without its key would look whole. */
async function writePair(directory: string, name: string, pair: KeyAndCertificate): Promise<void> {
  await writeWhole(join(directory, `${name}.key`), pair.key, 0o600)
  await writeWhole(join(directory, `${name}.pem`), pair.certificate, 0o644)
}

/** Replaces a file at once or not at all, also when the power fails. */
async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.new`
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
