import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import { nearest } from '../client/nearest.ts'
import { pageQuery } from '../client/pages.ts'
import { namedLists } from '../client/suggest.ts'
import type { Page } from '../client/views.ts'
import { command } from '../declare.ts'
import { explainSubject } from './explain-subject.ts'

export const explain = command({
  name: 'explain',
  summary: 'say why a job waits, a host is not used, or an operation does not start',
  examples: [
    ['cidery explain job/job_01k…', 'what a job waits for, and the cure'],
    ['cidery explain host/mini-1', 'why a host gets no jobs'],
    ['cidery explain mini-1', 'the kind is found out when the name is unique'],
  ],
  arguments: [{ name: '<thing>', about: 'job/ID, host/NAME, queue/NAME, pool/NAME, operation/ID, or only the name', completes: 'subject' }],
  prints: 'view',
  run: async (cli, { args: [thing = ''] }) => explainSubject(cli, await subjectOf(cli, thing)),
})

const kindOfPrefix: Readonly<Record<string, string>> = { job: 'job', op: 'operation', host: 'host' }
const guessed = ['host', 'queue', 'pool'] as const

/** Finds out the kind of a bare name: by the prefix of an id, else by looking for it. */
async function subjectOf(cli: Cli, thing: string): Promise<string> {
  if (thing.includes('/')) return thing
  const kind = /^([a-z]+)_[0-9a-z]{26}$/.exec(thing)?.[1]
  if (kind !== undefined && kindOfPrefix[kind] !== undefined) return `${kindOfPrefix[kind]}/${thing}`
  const api = await openApi(cli)
  const names: string[] = []
  for (const guess of guessed) {
    const page = await api.get<Page<{ readonly name: string }>>(namedLists[guess], { query: pageQuery(namedLists[guess], 500) })
    if (page.items.some((item) => item.name === thing)) return `${guess}/${thing}`
    names.push(...page.items.map((item) => item.name))
  }
  const near = nearest(thing, names)
  throw new CideryError('NOT_FOUND', `there is no host, queue or pool '${thing}'`, {
    hint: near === undefined ? 'cidery host ls' : `did you mean ${near}?`,
  })
}
