import { scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import type { Random } from '../../ports/random.ts'
import type { PasswordHasher } from '../../ports/secrets.ts'

export interface PasswordHasherOptions {
  readonly random: Random
  /** Binary logarithm of the cost; 17 takes 128 MiB and about 0.4 s. Lower only in tests. */
  readonly logCost?: number
}

interface Parameters {
  readonly logCost: number
  readonly blockSize: number
  readonly parallel: number
}

const defaultLogCost = 17
/** Hashes at once: each takes 128 MiB and a thread. */
const maxRunning = 2
const maxWaiting = 64
const keyBytes = 32
const saltBytes = 16

/** scrypt with N = 2^17, r = 8, p = 1 (OWASP's first choice for it). A hash names its own parameters: `$scrypt$ln=17,r=8,p=1$<salt>$<key>`. */
export function createPasswordHasher(options: PasswordHasherOptions): PasswordHasher {
  const bounded = createBound()

  return {
    async hash(password) {
      const parameters = { logCost: options.logCost ?? defaultLogCost, blockSize: 8, parallel: 1 }
      const salt = Buffer.from(options.random.bytes(saltBytes))
      const key = await bounded(() => derive(password, salt, parameters))
      return `$scrypt$ln=${parameters.logCost},r=8,p=1$${unpadded(salt)}$${unpadded(key)}`
    },
    async verify(password, hash) {
      const parts = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(hash)
      if (parts === null) return false
      const parameters = { logCost: Number(parts[1]), blockSize: Number(parts[2]), parallel: Number(parts[3]) }
      // A hash that was tampered with must not take the memory of the machine.
      if (parameters.logCost > 20 || parameters.blockSize > 16 || parameters.parallel > 4) return false
      const expected = Buffer.from(parts[5] ?? '', 'base64')
      const key = await bounded(() => derive(password, Buffer.from(parts[4] ?? '', 'base64'), parameters))
      return expected.length === key.length && timingSafeEqual(expected, key)
    },
  }
}

/** People type the same letter in two forms; passwords compare by NFKC. */
function derive(password: string, salt: Buffer, parameters: Parameters): Promise<Buffer> {
  const cost = 2 ** parameters.logCost
  const options: ScryptOptions = {
    N: cost,
    r: parameters.blockSize,
    p: parameters.parallel,
    maxmem: 256 * cost * parameters.blockSize * parameters.parallel,
  }
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, keyBytes, options, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}

function createBound(): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []

  return async (work) => {
    if (running >= maxRunning) {
      if (waiting.length >= maxWaiting) throw new CideryError('TOO_MANY_REQUESTS', 'too many passwords are being checked at once')
      // Whoever ends hands the place on, so `running` stays as it is.
      await new Promise<void>((resolve) => void waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
