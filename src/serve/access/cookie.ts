import type { FastifyReply } from 'fastify'

/** How long a browser session lasts. */
export const sessionMs = 86_400_000

/** `__Host-` makes browsers insist on Secure, on the path `/`, and on no Domain: no neighbour can plant the cookie. It needs TLS. */
const secureName = '__Host-cidery'
const plainName = 'cidery-session'
export const sessionCookieNames = [secureName, plainName] as const

/** Sets the session cookie: unreadable to scripts, never sent along from other sites. */
export function setSessionCookie(reply: FastifyReply, secret: string, secure: boolean): void {
  reply.setCookie(secure ? secureName : plainName, secret, {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure,
    maxAge: sessionMs / 1000,
  })
}

export function clearSessionCookie(reply: FastifyReply, secure: boolean): void {
  reply.clearCookie(secure ? secureName : plainName, { path: '/', httpOnly: true, sameSite: 'strict', secure })
}
