import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import type { Api, CallOptions } from '../client/api.ts'
import { pageQuery } from '../client/pages.ts'
import { command, exitCodes } from '../declare.ts'

/** A person waits with a finger on the tab key. */
const deadlineMs = 1_500

interface Listed {
  readonly id?: string
  readonly name?: string
}

export const complete = command({
  name: '__complete',
  summary: 'names of things, for the completion scripts',
  examples: [['cidery __complete host', 'one name a line; nothing when the controller does not answer in time']],
  arguments: [{ name: '<kind>', about: 'job, host, pool, queue, sandbox, operation, secret, user, token or subject' }],
  prints: 'text',
  hidden: true,
  async run(cli, { args: [kind = ''] }) {
    const late = new AbortController()
    const timer = cli.timers.after(deadlineMs, () => late.abort(new Error('too late')))
    try {
      const names = await namesOf(cli, kind, late.signal)
      // Names go into a shell that expands them: whatever is no plain name stays out.
      await cli.stdout.write(
        names
          .filter((name) => /^[\w.@/-]+$/.test(name))
          .map((name) => `${name}\n`)
          .join(''),
      )
    } catch {
      // No names is the right answer to every failure: there is nowhere to show a message.
    } finally {
      timer.cancel()
    }
    return exitCodes.ok
  },
})

type Lister = (get: (path: string, key: 'id' | 'name') => Promise<readonly string[]>, api: Api) => Promise<readonly string[]>

const listers: Readonly<Record<string, Lister>> = {
  job: (get) => get('/jobs', 'id'),
  host: (get) => get('/hosts', 'name'),
  pool: (get) => get('/pools', 'name'),
  queue: (get) => get('/queues', 'name'),
  sandbox: (get) => get('/sandboxes', 'name'),
  user: (get) => get('/users', 'name'),
  token: (get) => get('/tokens', 'id'),
  secret: async (get) =>
    (await Promise.all((await get('/queues', 'name')).map((queue) => get(`/queues/${queue}/secrets`, 'name').catch(() => [])))).flat(),
  operation: async (get) =>
    (await Promise.all((await get('/hosts', 'id')).slice(0, 20).map((host) => get(`/hosts/${host}/operations`, 'id')))).flat(),
  subject: async (get) => {
    const kinds = [
      ['host', 'name'],
      ['queue', 'name'],
      ['pool', 'name'],
      ['job', 'id'],
    ] as const
    const lists = await Promise.all(kinds.map(async ([kind, key]) => (await get(`/${kind}s`, key)).map((name) => `${kind}/${name}`)))
    return lists.flat()
  },
}

async function namesOf(cli: Cli, kind: string, signal: AbortSignal): Promise<readonly string[]> {
  const lister = listers[kind]
  if (lister === undefined) return []
  const api = await openApi(cli)
  const options: CallOptions = { signal, patienceMs: 0, idleMs: deadlineMs }
  const get = async (path: string, key: 'id' | 'name') => {
    const page = await api.get<{ readonly items: readonly Listed[] }>(path, { ...options, query: pageQuery(path, 100) })
    return page.items.map((item) => item[key] ?? '').filter((name) => name !== '')
  }
  return lister(get, api)
}
