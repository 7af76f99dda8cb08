import { X509Certificate, createHash, webcrypto } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type * as X509Module from '@peculiar/x509'
import { CideryError } from '../../model/errors.ts'
import type { Certificates, ServerCertificate } from '../../ports/certificates.ts'
import type { Log } from '../../ports/log.ts'
import type { Clock } from '../../ports/time.ts'

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

type X509Library = typeof X509Module

interface KeyAndCertificate {
  readonly key: string
  readonly certificate: string
}

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
  const ca = (await readPair(directory, 'ca')) ?? (await makeCa(options))
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
    const made = await signServer(options, ca)
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

/** The library is 1 MB of code that is needed once in 60 days. */
async function loadX509(): Promise<X509Library> {
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto)
  return x509
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

async function makeKeys(): Promise<{ readonly keys: webcrypto.CryptoKeyPair; readonly pem: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { keys, pem: pemOf('PRIVATE KEY', der) }
}

function pemOf(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

function derOf(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'))
}

async function makeCa(options: OwnCaOptions): Promise<KeyAndCertificate> {
  const x509 = await loadX509()
  const { keys, pem } = await makeKeys()
  const now = options.clock.now()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=cidery controller CA',
    notBefore: new Date(now - backdateDays * day),
    notAfter: new Date(now + caDays * day),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const made = { key: pem, certificate: `${certificate.toString('pem').trim()}\n` }
  await writePair(options.directory, 'ca', made)
  options.log.info('made the CA of this controller', { days: caDays })
  return made
}

async function signServer(options: OwnCaOptions, ca: KeyAndCertificate): Promise<KeyAndCertificate> {
  const x509 = await loadX509()
  const { keys, pem } = await makeKeys()
  const issuer = new x509.X509Certificate(ca.certificate)
  const signingKey = await webcrypto.subtle.importKey('pkcs8', derOf(ca.key), algorithm, false, ['sign'])
  const now = options.clock.now()
  const names = [...new Set(options.names)].map((name) => ({ type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const), value: name }))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: 'CN=cidery controller',
    issuer: issuer.subject,
    notBefore: new Date(now - backdateDays * day),
    notAfter: new Date(Math.min(now + serverDays * day, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { key: pem, certificate: `${certificate.toString('pem').trim()}\n` }
}

/** 127 random bits: positive, as a serial number must be. */
function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return Buffer.from(bytes).toString('hex')
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
