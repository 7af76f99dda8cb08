import { createCipheriv, createDecipheriv, hash } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import type { Random } from '../../ports/random.ts'
import type { SecretBox } from '../../ports/secrets.ts'
import { readOrMakeKeyFile } from './key-file.ts'

export interface SecretBoxOptions {
  /** Made with a new key (mode 0600) when it is not there. Without it every secret is lost: it belongs into backups, apart from the database. */
  readonly keyFile: string
  readonly random: Random
}

const algorithm = 'aes-256-gcm'
const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

/**
 * AES-256-GCM with a random nonce per secret and the context as associated data: a ciphertext that was moved to another queue or name
 * does not open. Sealed text is `v1.<key id>.<base64url of nonce, tag and ciphertext>`.
 */
export function createSecretBox(options: SecretBoxOptions): SecretBox {
  const { random } = options
  const text = readOrMakeKeyFile({ path: options.keyFile, random, make: () => Buffer.from(random.bytes(keyBytes)).toString('base64') })
  const key = Buffer.from(text, 'base64')
  if (key.length !== keyBytes)
    throw new CideryError('INTERNAL', `the key file ${options.keyFile} does not hold a key`, { hint: 'restore it from a backup' })
  const keyId = hash('sha256', key).slice(0, 8)

  return {
    keyId,
    seal(plain, context) {
      const nonce = random.bytes(nonceBytes)
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(context, 'utf8'))
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return `v1.${keyId}.${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')}`
    },
    open(sealed, context) {
      const [version, sealedWith, body] = sealed.split('.')
      if (version !== 'v1' || body === undefined)
        throw new CideryError('INTERNAL', 'a stored secret is not in a form that this cidery knows')
      if (sealedWith !== keyId) {
        throw new CideryError('INTERNAL', `a secret was sealed with key ${sealedWith ?? '?'}, but the key file holds ${keyId}`, {
          hint: 'put the key file back that belongs to this database',
        })
      }
      return decrypt(key, Buffer.from(body, 'base64url'), context)
    },
  }
}

function decrypt(key: Buffer, bytes: Buffer, context: string): string {
  try {
    const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
    decipher.setAAD(Buffer.from(context, 'utf8')).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
    return decipher.update(bytes.subarray(nonceBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8')
  } catch (error) {
    throw new CideryError('INTERNAL', 'a stored secret does not open: it was changed, or belongs to another name', { cause: error })
  }
}
