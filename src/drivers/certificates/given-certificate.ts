import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { CideryError } from '../../model/errors.ts'
import type { Certificates, ServerCertificate } from '../../ports/certificates.ts'

export interface GivenCertificateOptions {
  /** PEM with the server's certificate first, then those that signed it. */
  readonly certificateFile: string
  readonly keyFile: string
  /** PEM of the CA that hosts shall pin; leave it out for a certificate of a public CA. */
  readonly caFile?: string
}

/** A certificate that the operator brings, read again when its files change: whoever renews it needs no restart. Throws INVALID_INPUT that names the file. */
export async function openGivenCertificate(options: GivenCertificateOptions): Promise<Certificates> {
  let current = await read(options)
  const caPem = options.caFile === undefined ? null : await readPem(options.caFile)
  const caFingerprint = caPem === null ? null : new X509Certificate(caPem).fingerprint256.replaceAll(':', '').toLowerCase()

  async function renewIfDue(): Promise<boolean> {
    const found = await read(options)
    if (found.chain === current.chain && found.key === current.key) return false
    current = found
    return true
  }

  return { caPem, caFingerprint, current: () => current, renewIfDue }
}

async function read(options: GivenCertificateOptions): Promise<ServerCertificate> {
  // One after the other, so that the same file is named whenever both are wrong.
  const chain = await readPem(options.certificateFile)
  const key = await readPem(options.keyFile)
  try {
    return { chain, key, expiresAt: new X509Certificate(chain).validToDate.getTime() }
  } catch (error) {
    throw new CideryError('INVALID_INPUT', `${options.certificateFile} is not a certificate in PEM form`, { cause: error })
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new CideryError('INVALID_INPUT', `cannot read ${path}`, { cause: error, hint: 'give PEM files that this user may read' })
  }
}
