import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import type { ExplainView } from '../client/views.ts'
import { exitCodes } from '../declare.ts'
import { printThing, renderFields } from '../render/output.ts'
import { paint } from '../render/style.ts'
import { cleanLines } from '../render/text.ts'
import { waitingLines } from '../render/waiting.ts'

/** Prints why a thing is as it is: `job/<id>`, `host/<name>`, `queue/<name>`, `pool/<name>`, `operation/<id>`. */
export async function explainSubject(cli: Cli, subject: string): Promise<number> {
  const api = await openApi(cli)
  const path = subject.split('/').map(encodeURIComponent).join('/')
  const view = await api.get<ExplainView>(`/explain/${path}`)
  await printThing(cli, { value: view, name: view.subject, text: () => renderExplanation(view, cli.settings.color) })
  return exitCodes.ok
}

function renderExplanation(view: ExplainView, color: boolean): string {
  const waiting = view.waiting.map((one) => cleanLines(waitingLines(one))).join('')
  const facts = renderFields(
    view.facts.map(({ name, value }) => [name, value]),
    color,
  )
  return [`${paint(cleanLines(view.summary), 'strong', color)}\n`, waiting, facts].filter((part) => part !== '').join('\n')
}
