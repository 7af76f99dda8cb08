import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import type { Random } from '../../ports/random.ts'
import type { Signer } from '../../ports/secrets.ts'
import { readOrMakeKeyFile } from './key-file.ts'

export interface SignerOptions {
  /** PKCS #8 in PEM, mode 0600; made when it is not there. */
  readonly keyFile: string
  readonly random: Random
}

/** Ed25519. `publicKey` and signatures are base64url; the key is its 32 raw bytes. */
export function createSigner(options: SignerOptions): Signer {
  const privateKey = readPrivateKey(options)
  const publicKey = createPublicKey(privateKey)
  return {
    publicKey: rawPublicKey(publicKey),
    sign: (text) => sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64url'),
    verify: (text, signature) => isSignature(publicKey, text, signature),
  }
}

/** Checks signatures with nothing but the public key, for those who hold an export of the journal. */
export function createVerifier(publicKey: string): Pick<Signer, 'publicKey' | 'verify'> {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
  return { publicKey, verify: (text, signature) => isSignature(key, text, signature) }
}

function readPrivateKey(options: SignerOptions): KeyObject {
  const make = (): string => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).trim()
  const pem = readOrMakeKeyFile({ path: options.keyFile, random: options.random, make })
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (error) {
    throw new CideryError('INTERNAL', `the key file ${options.keyFile} does not hold a key`, {
      cause: error,
      hint: 'restore it from a backup',
    })
  }
  throw new CideryError('INTERNAL', `the key file ${options.keyFile} holds a key of another kind`, { hint: 'restore it from a backup' })
}

function isSignature(key: KeyObject, text: string, signature: string): boolean {
  const bytes = Buffer.from(signature, 'base64url')
  // Base64 has many spellings of the same bytes; one is enough.
  return bytes.toString('base64url') === signature && verify(null, Buffer.from(text, 'utf8'), key, bytes)
}

function rawPublicKey(key: KeyObject): string {
  const { x } = key.export({ format: 'jwk' })
  if (typeof x !== 'string') throw new CideryError('INTERNAL', 'the public key has no raw form')
  return x
}
