import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { Name } from '../model/id.ts'
import type { HostId } from '../model/id.ts'
import { EnrolRequest, syncProtocol } from '../model/sync.ts'
import type { EnrolResponse } from '../model/sync.ts'
import type { Writer } from '../ports/store.ts'
import { findEnrolmentByHash, insertHost, useEnrolment } from '../record/enrolments.ts'
import type { Enrolment } from '../record/enrolments.ts'
import { findHostByKeyHash } from '../record/host-keys.ts'
import { credentialHash, isCredential } from './access/credential.ts'
import { addressKey, createTryLimit } from './access/limits.ts'
import { eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

const EnrolAnswer = z.strictObject({ hostId: z.string(), name: z.string(), pool: z.string() })

const triesPerMinute = 10

/** `POST /agent/enrol`: a machine with an enrolment token becomes a host with a key of its own. `joined` is told of each new host, after it is stored. */
export function agentEnrolRoutes(ports: ServePorts, joined: (hostId: HostId) => Promise<void>): readonly Route[] {
  const refusedTries = createTryLimit({ clock: ports.clock, tries: triesPerMinute, windowMs: 60_000 })
  return [
    route({
      method: 'POST',
      path: '/agent/enrol',
      summary: 'Makes the caller a host: trades a single-use token for the right to use the key whose hash is given',
      tag: 'agent',
      access: 'public',
      body: EnrolRequest,
      response: EnrolAnswer,
      handler: async (context, { body }) => {
        const address = addressKey(context.origin)
        const waitMs = refusedTries.wait(address)
        if (waitMs > 0)
          throw new CideryError('TOO_MANY_REQUESTS', 'too many refused enrolments from this address', {
            details: { retryAfterS: Math.ceil(waitMs / 1000) },
          })
        checkProtocol(body.protocol)
        try {
          const { answer, isNew } = await enrol(ports, context, body)
          if (isNew) await joined(answer.hostId)
          return answer
        } catch (error) {
          if (error instanceof CideryError && error.code === 'UNAUTHENTICATED') {
            refusedTries.take(address)
            await recordRefusal(ports, context, { error, body })
          }
          throw error
        }
      },
    }),
  ]
}

function checkProtocol(protocol: number): void {
  if (protocol <= syncProtocol && protocol >= syncProtocol - 1) return
  throw new CideryError('AGENT_TOO_OLD', `this controller speaks the protocol ${syncProtocol}, the agent ${protocol}`, {
    hint: 'install the same cidery version on both',
  })
}

type Request = z.infer<typeof EnrolRequest>

async function enrol(
  ports: ServePorts,
  context: RouteContext,
  request: Request,
): Promise<{ readonly answer: EnrolResponse; readonly isNew: boolean }> {
  const tokenHash = credentialHash(ports, request.token)
  if (!isCredential(request.token, 'enrolment')) throw refused('the enrolment token is not one')
  return context.write(async (tx) => {
    const at = ports.clock.now()
    const enrolment = await findEnrolmentByHash(tx, tokenHash)
    if (enrolment === undefined) throw refused('the enrolment token is not known')
    if (enrolment.usedAt !== null) return { answer: await repeatedAnswer(tx, enrolment, request), isNew: false }
    if (enrolment.expiresAt <= at) throw refused('the enrolment token has expired')
    const host = { id: ports.ids.next('host'), name: await freeName(tx, enrolment, request.hostname), pool: enrolment.pool }
    if ((await findHostByKeyHash(tx, request.keyHash)) !== undefined) throw refused('the key belongs to another host')
    await insertHost(tx, { ...host, labels: enrolment.labels, keyHash: request.keyHash, at })
    await useEnrolment(tx, enrolment.id, { at, hostId: host.id })
    const by = { principal: { kind: 'host', id: host.id, name: host.name, scopes: [], queues: [] }, origin: context.origin } as const
    const data = { hostId: host.id, pool: host.pool, os: request.os, arch: request.arch, hostname: request.hostname }
    await ports.append(tx, [
      eventBy(by, { kind: 'enrolment.used', at, subject: `enrolment/${enrolment.id}`, data: { hostId: host.id } }),
      eventBy(by, { kind: 'host.enrolled', at, subject: `host/${host.name}`, data }),
    ])
    return { answer: { hostId: host.id, name: host.name, pool: host.pool }, isNew: true }
  })
}

/**
 * An agent whose answer was lost asks again with the same key: it gets the same answer, since the key proves nothing new. Anybody else with the
 * used token is refused.
 */
async function repeatedAnswer(tx: Writer, enrolment: Enrolment, request: Request): Promise<EnrolResponse> {
  const holder = await findHostByKeyHash(tx, request.keyHash)
  if (holder === undefined || holder.hostId !== enrolment.hostId) throw refused('the enrolment token was used already')
  return { hostId: holder.hostId, name: holder.name, pool: enrolment.pool }
}

function refused(message: string): CideryError {
  return new CideryError('UNAUTHENTICATED', message, { hint: 'make a new line for this host: cidery host add' })
}

async function recordRefusal(
  ports: ServePorts,
  context: RouteContext,
  refusal: { readonly error: CideryError; readonly body: Request },
): Promise<void> {
  const { error, body } = refusal
  const enrolment = await ports.store.read((db) => findEnrolmentByHash(db, credentialHash(ports, body.token)))
  const subject = `enrolment/${enrolment?.id ?? 'unknown'}`
  const data = { reason: error.message, hostname: body.hostname }
  await ports.store.write((tx) =>
    ports.append(tx, [eventBy(context, { kind: 'enrolment.refused', at: ports.clock.now(), subject, result: 'refused', data })]),
  )
}

/** The name that the enrolment fixes, else one made from the machine's own, with a number when it is taken. */
async function freeName(tx: Writer, enrolment: Enrolment, hostname: string): Promise<string> {
  if (enrolment.name !== null) {
    if (!(await isTaken(tx, enrolment.name))) return enrolment.name
    throw new CideryError('CONFLICT', `there is a host ${enrolment.name} already`, {
      hint: `if this machine replaces it: cidery host retire ${enrolment.name}, then try again`,
    })
  }
  const base = nameFrom(hostname)
  for (let number = 1; number <= 1000; number += 1) {
    const name = number === 1 ? base : `${base.slice(0, 58)}-${number}`
    if (!(await isTaken(tx, name))) return name
  }
  throw new CideryError('CONFLICT', `there are too many hosts named ${base}`, { hint: 'give this one a name: cidery host add --name NAME' })
}

/** `Mini-1.office.example` → `mini-1`. */
export function nameFrom(hostname: string): string {
  const first = (hostname.split('.', 1)[0] ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^[-_]+|[-_]+$/g, '')
    .slice(0, 60)
  const name = first.replaceAll(/[-_]+$/g, '')
  return Name.safeParse(name).success ? name : 'host'
}

async function isTaken(tx: Writer, name: string): Promise<boolean> {
  return (
    (await tx.selectFrom('hosts').select('id').where('name', '=', name).where('state', '!=', 'retired').executeTakeFirst()) !== undefined
  )
}
