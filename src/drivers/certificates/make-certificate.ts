import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { bitString, boolean, explicit, implicit, integer, octetString, oid, sequence, set, time, utf8 } from './der.ts'

/** A private key and its certificate, both PEM. */
export interface KeyAndCertificate {
  readonly key: string
  readonly certificate: string
}

interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

export interface CaRequest extends Validity {
  readonly commonName: string
}

export interface ServerRequest extends Validity {
  readonly commonName: string
  /** Host names and IP addresses that the certificate is good for. */
  readonly names: readonly string[]
  readonly caCommonName: string
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))
const extensionIds = {
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKey: '2.5.29.35',
  extendedUsage: '2.5.29.37',
} as const
const serverAuth = oid('1.3.6.1.5.5.7.3.1')
const commonNameId = oid('2.5.4.3')

/** A CA that signs server certificates and nothing else: a self-signed ECDSA P-256 key. */
export function makeCa(request: CaRequest): KeyAndCertificate {
  const keys = makeKeys()
  const extensions = [
    extension(extensionIds.basicConstraints, sequence(boolean(true), integer(Buffer.from([0]))), true),
    // keyCertSign and cRLSign: bits 5 and 6.
    extension(extensionIds.keyUsage, bitString(Buffer.from([0b0000_0110]), 1), true),
    extension(extensionIds.subjectKey, octetString(keyId(keys.spki))),
  ]
  const certificate = certify({ ...request, issuer: request.commonName, spki: keys.spki, extensions, signingKey: keys.key })
  return { key: keys.key, certificate }
}

/** A server's key and certificate, signed by a CA. */
export function makeServerCertificate(request: ServerRequest, ca: KeyAndCertificate): KeyAndCertificate {
  const keys = makeKeys()
  const caSpki = spkiOf(ca.key)
  const extensions = [
    extension(extensionIds.basicConstraints, sequence(), true),
    // digitalSignature: bit 0.
    extension(extensionIds.keyUsage, bitString(Buffer.from([0b1000_0000]), 7), true),
    extension(extensionIds.extendedUsage, sequence(serverAuth)),
    extension(extensionIds.alternativeNames, sequence(...[...new Set(request.names)].map(alternativeName))),
    extension(extensionIds.authorityKey, sequence(implicit(0, keyId(caSpki)))),
    extension(extensionIds.subjectKey, octetString(keyId(keys.spki))),
  ]
  const certificate = certify({ ...request, issuer: request.caCommonName, spki: keys.spki, extensions, signingKey: ca.key })
  return { key: keys.key, certificate }
}

function makeKeys(): { readonly key: string; readonly spki: Buffer } {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { key, spki: spkiOf(key) }
}

function spkiOf(privateKey: string): Buffer {
  return createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'der' })
}

/** Any name of a key will do that is the same each time (RFC 7093). */
function keyId(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20)
}

function extension(id: string, content: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(content))
}

function alternativeName(name: string): Buffer {
  return isIP(name) === 0 ? implicit(2, Buffer.from(name, 'latin1')) : implicit(7, addressBytes(name))
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map((part) => Number.parseInt(part, 10)))
  // The URL parser writes every IPv6 address in its one short form, mapped IPv4 included.
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::', 2)
  const words = (text: string): string[] => text.split(':').filter((word) => word !== '')
  const first = words(head)
  const last = words(tail ?? '')
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0')
  return Buffer.from([...first, ...zeros, ...last].flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]))
}

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(commonNameId, utf8(commonName))))
}

interface ToCertify extends Validity {
  readonly commonName: string
  readonly issuer: string
  readonly spki: Buffer
  readonly extensions: readonly Buffer[]
  readonly signingKey: string
}

/** Puts a certificate together (RFC 5280, 4.1) and signs it. */
function certify(what: ToCertify): string {
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    ecdsaWithSha256,
    nameOf(what.issuer),
    sequence(time(what.notBefore), time(what.notAfter)),
    nameOf(what.commonName),
    what.spki,
    explicit(3, sequence(...what.extensions)),
  )
  const certificate = sequence(body, ecdsaWithSha256, bitString(sign('sha256', body, what.signingKey)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** 128 random bits, never zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes
}
