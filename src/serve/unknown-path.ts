import type { FastifyInstance } from 'fastify'
import { CideryError } from '../model/errors.ts'
import type { Route } from './route.ts'

interface KnownPath {
  readonly method: string
  readonly pattern: RegExp
}

/** Finds out which methods a path has, so that a wrong method is told apart from a wrong path. */
export function allowedMethods(routes: readonly { readonly method: string; readonly path: string }[]): (url: string) => readonly string[] {
  const known: readonly KnownPath[] = routes.map(({ method, path }) => ({ method, pattern: patternOf(path) }))
  return (url) => {
    const path = url.split('?', 1)[0] ?? ''
    return [...new Set(known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].sort()
  }
}

function patternOf(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    if (part.startsWith('*')) return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  })
  return new RegExp(`^${parts.join('/')}$`)
}

/** Answers what no route takes: 405 with the methods that the path has, 404, or a page of the dashboard for a browser that navigates. */
export function mountUnknownPaths(
  app: FastifyInstance,
  routes: readonly Pick<Route, 'method' | 'path'>[],
  page: ((url: string) => string | undefined) | undefined,
): void {
  const methodsOf = allowedMethods(routes)
  app.setNotFoundHandler(async (request, reply) => {
    const methods = methodsOf(request.url)
    if (methods.length > 0) {
      reply.header('allow', methods.join(', '))
      throw new CideryError('METHOD_NOT_ALLOWED', `${request.method} is not possible here`, {
        hint: `possible: ${methods.join(', ')}`,
        details: { allowed: methods },
      })
    }
    const html = request.method === 'GET' && (request.headers.accept ?? '').includes('text/html') ? page?.(request.url) : undefined
    if (html !== undefined) return reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(html)
    throw new CideryError('NOT_FOUND', 'there is nothing at this path', { hint: 'the API is described at /api/docs' })
  })
}
