import { z } from 'zod'
import { AuditVerifyView, PageQuery, SealedEvent } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { listEvents } from '../record/journal.ts'
import { eventBy } from './actor.ts'
import { streamEvents } from './event-stream.ts'
import type { EventTail } from './event-tail.ts'
import type { Metrics } from './metrics.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

export interface EventParts {
  readonly ports: ServePorts
  readonly tail: EventTail
  /** Reads the whole journal and says whether it is whole. */
  readonly verify: () => Promise<z.infer<typeof AuditVerifyView>>
  readonly metrics?: Metrics
}

const Number_ = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const StreamQuery = z.strictObject({ after: Number_.optional() })
const ListQuery = z.strictObject({ after: Number_.default(0), limit: PageQuery.shape.limit, subject: z.string().max(500).optional() })
const EventPage = z.strictObject({ items: z.array(SealedEvent), nextAfter: z.number().nullable() })

/** Streams open at once, in all and per caller: each holds a socket and a page of events. */
const maxStreams = 500
const maxStreamsEach = 20
const exportPage = 1_000

/** Routes that show the journal: as it grows, in pages, checked and as a file. */
export function eventRoutes(parts: EventParts): readonly Route[] {
  const { ports } = parts
  const streams = createStreamCount(parts.metrics)
  return [
    route({
      method: 'GET',
      path: '/events',
      summary: 'Server-sent events: every sealed event after a number, then each new one; goes on from Last-Event-ID',
      tag: 'events',
      access: 'read',
      query: StreamQuery,
      response: 'raw',
      handler: async (context, { query }) => follow(parts, context, { after: query.after, streams }),
    }),
    route({
      method: 'GET',
      path: '/audit',
      summary: 'Sealed events in order, in pages; of one subject only with subject=',
      tag: 'audit',
      access: 'people',
      query: ListQuery,
      response: EventPage,
      handler: async (_context, { query }) => {
        const { after, limit, subject } = query
        const rows = await ports.store.read((db) =>
          listEvents(db, { after, limit: limit + 1, ...(subject === undefined ? {} : { subject }) }),
        )
        const items = rows.slice(0, limit)
        return { items, nextAfter: rows.length > limit ? (items.at(-1)?.number ?? null) : null }
      },
    }),
    route({
      method: 'GET',
      path: '/audit/verify',
      summary: 'Reads the whole journal and says whether a line was changed, removed or cut off',
      tag: 'audit',
      access: 'people',
      response: AuditVerifyView,
      handler: async () => parts.verify(),
    }),
    route({
      method: 'GET',
      path: '/audit/export',
      summary: 'The whole journal as one JSON object per line; anyone can check the hashes',
      tag: 'audit',
      access: 'people',
      query: StreamQuery,
      response: 'raw',
      handler: async (context, { query }) => exportJournal(ports, context, query.after ?? 0),
    }),
  ]
}

interface StreamCount {
  /** Counts a stream of a caller; TOO_MANY_REQUESTS when there are enough. Returns how to end it. */
  open(caller: string): () => void
}

function createStreamCount(metrics: Metrics | undefined): StreamCount {
  const byCaller = new Map<string, number>()
  let all = 0

  function open(caller: string): () => void {
    const own = byCaller.get(caller) ?? 0
    if (all >= maxStreams || own >= maxStreamsEach) {
      throw new CideryError('TOO_MANY_REQUESTS', 'too many event streams are open', {
        hint: 'close some, or follow with one stream',
        details: { retryAfterS: 5 },
      })
    }
    change(caller, 1)
    return () => change(caller, -1)
  }

  function change(caller: string, by: 1 | -1): void {
    all += by
    const own = (byCaller.get(caller) ?? 0) + by
    if (own === 0) byCaller.delete(caller)
    else byCaller.set(caller, own)
    metrics?.eventStreams(all)
  }

  return { open }
}

async function follow(
  parts: EventParts,
  context: RouteContext,
  from: { readonly after: number | undefined; readonly streams: StreamCount },
): Promise<void> {
  const { ports, tail } = parts
  const { reply, request, principal, signal } = context
  const after = lastEventId(request.headers['last-event-id']) ?? from.after ?? null
  const close = from.streams.open(`${principal.kind}:${principal.id}`)
  try {
    const start = after ?? (await headOf(tail, signal))
    startRaw(context, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    await streamEvents(reply.raw, { ports, tail, after: start, signal })
  } finally {
    close()
  }
}

/** Without a number the stream starts with what is sealed from now on. */
async function headOf(tail: EventTail, signal: AbortSignal): Promise<number> {
  if (tail.head() === null) await tail.changed(-1, signal)
  return tail.head() ?? 0
}

function lastEventId(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined
  const parsed = Number_.safeParse(header)
  if (parsed.success && header !== '') return parsed.data
  throw new CideryError('INVALID_INPUT', 'the Last-Event-ID header is not the number of an event')
}

/** Takes the answer out of the framework's hands, with the headers that were set so far. */
function startRaw(context: RouteContext, headers: Readonly<Record<string, string>>): void {
  const { reply } = context
  reply.hijack()
  reply.raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...headers })
}

async function exportJournal(ports: ServePorts, context: RouteContext, after: number): Promise<void> {
  await context.write((tx) =>
    ports.append(tx, [eventBy(context, { kind: 'audit.exported', at: ports.clock.now(), subject: 'journal', data: { after } })]),
  )
  startRaw(context, {
    'content-type': 'application/x-ndjson; charset=utf-8',
    'content-disposition': 'attachment; filename="cidery-audit.ndjson"',
  })
  const { raw } = context.reply
  let last = after
  for (;;) {
    const from = last
    const events = await ports.store.read((db) => listEvents(db, { after: from, limit: exportPage }))
    if (events.length === 0 || context.signal.aborted) break
    const text = events.map((event) => `${JSON.stringify(event)}\n`).join('')
    if (!raw.write(text)) await new Promise<void>((resolve) => void raw.once('drain', resolve).once('close', resolve))
    last = events.at(-1)?.number ?? last
  }
  if (context.signal.aborted) raw.destroy()
  else raw.end()
}
