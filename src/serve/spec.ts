import type { z } from 'zod'
import { SpecApply, SpecDiff, SpecView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { Spec } from '../model/spec.ts'
import { applySpec, readSpec } from '../record/specs.ts'
import { actorOf, eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

type Diff = Pick<z.infer<typeof SpecDiff>, 'changes' | 'consequences'>

export interface SpecParts {
  readonly ports: ServePorts
  /** Reads a source; throws INVALID_INPUT with file, line and column. */
  readonly parse: (source: string, file: string) => Spec
  /** What differs, and what it will do to hosts and jobs as they are. */
  readonly diff: (from: Spec, to: Spec) => Diff | Promise<Diff>
}

/** Routes that show, check and apply the spec. */
export function specRoutes(parts: SpecParts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/spec',
      summary: 'The spec in force, as it was written',
      tag: 'spec',
      access: 'read',
      response: SpecView,
      handler: async () => parts.ports.store.read(readSpec),
    }),
    route({
      method: 'PUT',
      path: '/spec',
      summary: 'Applies a spec, or with dryRun says what it would change',
      tag: 'spec',
      access: 'spec',
      body: SpecApply,
      bodyLimit: 4 * 1024 * 1024,
      response: SpecDiff,
      ifMatch: 'required',
      handler: async (context, { body }) => apply(parts, context, body),
    }),
  ]
}

async function apply(parts: SpecParts, context: RouteContext, body: z.infer<typeof SpecApply>): Promise<z.infer<typeof SpecDiff>> {
  const { ports } = parts
  const wanted = parts.parse(body.source, body.file)
  const present = await ports.store.read(readSpec)
  if (present.generation !== context.ifMatch) {
    throw new CideryError('STALE_GENERATION', 'the spec changed since it was read', {
      hint: 'cidery plan shows what differs now',
      details: { generation: present.generation },
    })
  }
  const diff = await parts.diff(parts.parse(present.source, 'the spec in force'), wanted)
  if (body.dryRun || present.source === body.source) return { generation: present.generation, applied: false, ...diff }
  const at = ports.clock.now()
  const generation = present.generation + 1
  await context.write(async (tx) => {
    await applySpec(tx, { generation, source: body.source, appliedAt: at, appliedBy: actorOf(context.principal) })
    const data = { generation, file: body.file, changes: diff.changes.map((change) => change.path).slice(0, 100) }
    await ports.append(tx, [eventBy(context, { kind: 'spec.applied', at, subject: 'spec', data })])
  })
  return { generation, applied: true, ...diff }
}
