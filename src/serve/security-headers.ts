import type { FastifyReply } from 'fastify'

/** Scripts, styles and data from here alone; nothing inline, nothing framed. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The API's browser page writes styles into its elements; its scripts are files all the same. */
export const docsSecurityPolicy = contentSecurityPolicy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")

/** Headers of every answer. */
export function setSecurityHeaders(
  reply: FastifyReply,
  about: { readonly requestId: string; readonly secure: boolean; readonly docs: boolean },
): void {
  reply.headers({
    'x-request-id': about.requestId,
    'content-security-policy': about.docs ? docsSecurityPolicy : contentSecurityPolicy,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
    'cache-control': 'no-store',
    ...(about.secure ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  })
}
