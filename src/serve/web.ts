import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

const noDashboard = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>cidery</title></head>
<body><h1>cidery</h1><p>The dashboard is not built here: <code>npm run build</code> builds it. The API is described at <a href="/api/docs">/api/docs</a>.</p></body></html>
`

/**
 * Serves the built dashboard. Returns what a browser gets for a path of the dashboard itself (`/jobs/job_…`): its one page;
 * undefined for paths of the API and for files that are not there.
 */
export async function mountWeb(app: FastifyInstance, root: string | null): Promise<(url: string) => string | undefined> {
  const index = root === null ? undefined : join(root, 'index.html')
  const page = index !== undefined && existsSync(index) ? readFileSync(index, 'utf8') : noDashboard
  app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page))
  if (root !== null && existsSync(root)) {
    await app.register(fastifyStatic, {
      root,
      index: false,
      list: false,
      dotfiles: 'deny',
      wildcard: false,
      redirect: false,
      // File names of the build carry a hash of their content.
      setHeaders: (reply, path) =>
        void reply.header('cache-control', path.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'),
    })
  }
  return (url) => (isPageOfDashboard(url) ? page : undefined)
}

function isPageOfDashboard(url: string): boolean {
  const path = url.split(/[?#]/, 1)[0] ?? ''
  return !path.startsWith('/api/') && !/\.[a-z0-9]{1,8}$/i.test(path.slice(path.lastIndexOf('/')))
}
