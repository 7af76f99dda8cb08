import { X509Certificate } from 'node:crypto'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { CideryError } from '../../../model/errors.ts'

export interface TrustOptions {
  /** One URL, or those of several controllers of one fleet with commas between. */
  readonly url: string
  /** SHA-256 (hex) of the controller's CA certificate; null: the system's own roots, or plain HTTP on loopback. */
  readonly caFingerprint: string | null
  /** Plain HTTP to other machines: for development only. */
  readonly allowPlainHttp?: boolean
}

/** Whether an address is this machine's own. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (name === 'localhost' || name === '::1') return true
  return isIP(name) === 4 && name.startsWith('127.')
}

/** Reads the URLs of a fleet's controllers. TLS_REQUIRED for plain HTTP to another machine, INVALID_INPUT for what is no http(s) URL. */
export function controllerUrls(options: TrustOptions): readonly [URL, ...URL[]] {
  const [first, ...others] = options.url.split(',').map((text) => controllerUrl({ ...options, url: text.trim() }))
  // Splitting gives one part at least.
  return [first as URL, ...others]
}

function controllerUrl(options: TrustOptions): URL {
  const url = URL.parse(options.url)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(options.url)} is not the http or https URL of a controller`)
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname) && options.allowPlainHttp !== true) {
    throw new CideryError(
      'TLS_REQUIRED',
      `${url.origin} is another machine, and plain HTTP would show keys and jobs to everybody in between`,
      {
        hint: `use https://${url.host}`,
      },
    )
  }
  return url
}

/** How connections to one controller are made, kept open between requests. */
export interface Trust {
  readonly url: URL
  /** The agent that connects, after the CA was checked against its fingerprint. */
  connections(): Promise<HttpAgent | HttpsAgent>
  /** PEM of the pinned CA; null when none is pinned. */
  ca(): Promise<string | null>
  close(): void
}

const fetchLimitMs = 10_000
const longestCertificate = 64 * 1024

export function normalFingerprint(text: string): string {
  const hex = text.toLowerCase().replaceAll(/[^0-9a-f]/g, '')
  if (hex.length !== 64)
    throw new CideryError('INVALID_INPUT', 'a CA fingerprint is a SHA-256: 64 hex digits', {
      hint: 'copy the line that `cidery host add` prints',
    })
  return hex
}

/**
 * The CA certificate is fetched from the controller over a connection that is not checked, and taken only when its SHA-256 is the pinned one. Everything
 * after goes over connections that this CA signed for the controller's name.
 */
export function createTrust(options: TrustOptions): Trust {
  const [url] = controllerUrls(options)
  const pin = options.caFingerprint === null || url.protocol === 'http:' ? null : normalFingerprint(options.caFingerprint)
  const keepAlive = { keepAlive: true, keepAliveMsecs: 15_000, maxSockets: 16, timeout: 120_000 }
  let ready: Promise<{ readonly agent: HttpAgent | HttpsAgent; readonly ca: string | null }> | undefined
  let made: HttpAgent | HttpsAgent | undefined

  async function make(): Promise<{ readonly agent: HttpAgent | HttpsAgent; readonly ca: string | null }> {
    if (url.protocol === 'http:') made = new HttpAgent(keepAlive)
    else if (pin === null) made = new HttpsAgent(keepAlive)
    else {
      const ca = await fetchCa(url, pin)
      made = new HttpsAgent({ ...keepAlive, ca })
      return { agent: made, ca }
    }
    return { agent: made, ca: null }
  }

  function get(): Promise<{ readonly agent: HttpAgent | HttpsAgent; readonly ca: string | null }> {
    ready ??= make().catch((error: unknown) => {
      // Asked again by the next request.
      ready = undefined
      throw error
    })
    return ready
  }

  return {
    url,
    connections: async () => (await get()).agent,
    ca: async () => (await get()).ca,
    close: () => made?.destroy(),
  }
}

async function fetchCa(url: URL, pin: string): Promise<string> {
  const pem = await getUnchecked(new URL('/api/ca.pem', url))
  for (const [certificate] of pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)) {
    const found = readCertificate(certificate)
    if (found !== null && normalFingerprint(found.fingerprint256) === pin) return certificate
  }
  throw new CideryError('FORBIDDEN', `${url.origin} does not show the CA certificate whose fingerprint was pinned`, {
    hint: 'somebody may be in between; if the controller was set up anew, make a new line with `cidery host add`',
    details: { pinned: pin },
  })
}

function readCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    // Not a certificate: so not the pinned one.
    return null
  }
}

function getUnchecked(url: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(new CideryError('UNREACHABLE', `${url.origin} could not be asked for its CA`, { cause }))
    const request = httpsRequest(url, { rejectUnauthorized: false, timeout: fetchLimitMs, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        text += piece
        if (text.length > longestCertificate) request.destroy(new Error('the certificate is too long'))
      })
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : fail(new Error(`HTTP ${response.statusCode ?? 0}`))))
      response.on('error', fail)
    })
    request.on('timeout', () => request.destroy(new Error('it did not answer in time')))
    request.on('error', fail)
    request.end()
  })
}
