import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createDigests } from '../../src/drivers/secrets/digests.ts'
import { createPasswordHasher } from '../../src/drivers/secrets/password-hasher.ts'
import { createSecretBox } from '../../src/drivers/secrets/secret-box.ts'
import { createSigner, createVerifier } from '../../src/drivers/secrets/signer.ts'

const random = createSystemRandom()
let directory: string
let keyFile: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cidery-secrets-'))
  keyFile = join(directory, 'secrets.key')
})
afterEach(() => rmSync(directory, { recursive: true }))

function codeOf(work: () => unknown): unknown {
  try {
    work()
    return 'returned'
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}

describe('a box of secrets', () => {
  it('opens what it sealed, whatever is in it', () => {
    const box = createSecretBox({ keyFile, random })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (plain, context) => {
        const wellFormed = plain.toWellFormed()
        expect(box.open(box.seal(wellFormed, context), context)).toBe(wellFormed)
      }),
    )
  })

  it('seals the same text to something else each time', () => {
    const box = createSecretBox({ keyFile, random })
    expect(new Set(Array.from({ length: 100 }, () => box.seal('x', 'queue/name'))).size).toBe(100)
    expect(box.seal('a very visible secret', 'c')).not.toContain('visible')
  })

  it('does not open under another context, with another key, or changed anywhere', () => {
    const box = createSecretBox({ keyFile, random })
    const sealed = box.seal('s3cret', 'default/TOKEN')
    expect(codeOf(() => box.open(sealed, 'other/TOKEN'))).toBe('INTERNAL')
    const other = createSecretBox({ keyFile: join(directory, 'other.key'), random })
    expect(codeOf(() => other.open(sealed, 'default/TOKEN'))).toBe('INTERNAL')
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = sealed.slice(0, i) + (sealed[i] === 'A' ? 'B' : 'A') + sealed.slice(i + 1)
      // The last letter may carry bits that say nothing.
      const opened = codeOf(() => expect(box.open(changed, 'default/TOKEN')).toBe('s3cret'))
      if (i < sealed.length - 1) expect(opened).toBe('INTERNAL')
    }
    expect(codeOf(() => box.open('', 'default/TOKEN'))).toBe('INTERNAL')
  })

  it('makes its key once, for its owner alone, and finds it again', () => {
    const sealed = createSecretBox({ keyFile, random }).seal('kept', 'c')
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['secrets.key'])
    expect(createSecretBox({ keyFile, random }).open(sealed, 'c')).toBe('kept')
  })

  it('refuses a key that others can read, that is a link, or that is none', () => {
    createSecretBox({ keyFile, random })
    chmodSync(keyFile, 0o640)
    expect(codeOf(() => createSecretBox({ keyFile, random }))).toBe('FORBIDDEN')
    chmodSync(keyFile, 0o600)
    symlinkSync(keyFile, join(directory, 'link.key'))
    expect(codeOf(() => createSecretBox({ keyFile: join(directory, 'link.key'), random }))).toBe('UNSUPPORTED')
    writeFileSync(keyFile, 'short')
    expect(codeOf(() => createSecretBox({ keyFile, random }))).toBe('INTERNAL')
  })
})

describe('a hasher of passwords', () => {
  const hasher = createPasswordHasher({ random, logCost: 10 })

  it('knows a password by its hash, and no other', async () => {
    const hash = await hasher.hash('correct horse battery staple')
    expect(await hasher.verify('correct horse battery staple', hash)).toBe(true)
    expect(await hasher.verify('correct horse battery stapl', hash)).toBe(false)
    expect(await hasher.verify('', hash)).toBe(false)
  })

  it('salts: the same password has another hash each time, and none holds it', async () => {
    const hashes = await Promise.all([hasher.hash('hunter2hunter2'), hasher.hash('hunter2hunter2')])
    expect(hashes[0]).not.toBe(hashes[1])
    expect(hashes[0]).not.toContain('hunter2')
  })

  it('takes both ways of typing the same letter', async () => {
    expect(await hasher.verify('cafe\u0301 latte 12', await hasher.hash('caf\u00e9 latte 12'))).toBe(true)
  })

  it('verifies a hash with the cost that it was made with', async () => {
    const old = await createPasswordHasher({ random, logCost: 11 }).hash('some password')
    expect(await hasher.verify('some password', old)).toBe(true)
  })

  it('says no to a hash that is broken or asks for too much memory', async () => {
    for (const hash of [
      '',
      'x',
      '$scrypt$ln=10,r=8,p=1$$',
      '$scrypt$ln=31,r=8,p=1$AAAA$AAAA',
      '$scrypt$ln=10,r=99,p=1$AAAA$AAAA',
      '$2b$10$abcdefghijklmnopqrstuv',
    ]) {
      expect(await hasher.verify('x', hash)).toBe(false)
    }
  })

  it('uses 128 MiB unless told otherwise', async () => {
    expect(await createPasswordHasher({ random }).hash('a password')).toMatch(/^\$scrypt\$ln=17,r=8,p=1\$/)
  })

  it('refuses more than it can do at once, and goes on afterwards', async () => {
    const results = await Promise.allSettled(Array.from({ length: 80 }, () => hasher.hash('x')))
    const refused = results.filter((result) => result.status === 'rejected').map((result) => (result.reason as { code: string }).code)
    expect(new Set(refused)).toEqual(new Set(['TOO_MANY_REQUESTS']))
    expect(results.length - refused.length).toBe(66)
    expect(await hasher.hash('again')).toMatch(/^\$scrypt/)
  })
})

describe('a signer', () => {
  it('knows its own signature, and nothing else', () => {
    const signer = createSigner({ keyFile, random })
    const signature = signer.sign('checkpoint 7')
    expect(signer.verify('checkpoint 7', signature)).toBe(true)
    expect(signer.verify('checkpoint 8', signature)).toBe(false)
    expect(signer.verify('checkpoint 7', '')).toBe(false)
    expect(signer.verify('checkpoint 7', `${signature}A`)).toBe(false)
    expect(createSigner({ keyFile: join(directory, 'other.key'), random }).verify('checkpoint 7', signature)).toBe(false)
  })

  it('keeps its key over a restart, readable for its owner alone', () => {
    const before = createSigner({ keyFile, random })
    const after = createSigner({ keyFile, random })
    expect(after.publicKey).toBe(before.publicKey)
    expect(after.verify('x', before.sign('x'))).toBe(true)
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(readFileSync(keyFile, 'utf8')).toContain('PRIVATE KEY')
  })

  it('lets anyone verify by the public key', () => {
    const signer = createSigner({ keyFile, random })
    const verifier = createVerifier(signer.publicKey)
    expect(verifier.verify('x', signer.sign('x'))).toBe(true)
    expect(verifier.verify('y', signer.sign('x'))).toBe(false)
  })

  it('refuses a key file of another kind', () => {
    writeFileSync(keyFile, 'no key at all', { mode: 0o600 })
    expect(codeOf(() => createSigner({ keyFile, random }))).toBe('INTERNAL')
  })
})

describe('digests', () => {
  it('are SHA-256 in hex', () => {
    const { sha256 } = createDigests()
    expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(sha256(Buffer.from('abc'))).toBe(sha256('abc'))
  })
})
