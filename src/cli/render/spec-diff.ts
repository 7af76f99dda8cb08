import type { SpecDiff } from '../client/views.ts'
import { paint } from './style.ts'
import { cleanText } from './text.ts'

/** One line per field that differs, then what that will do to hosts and jobs. */
export function renderSpecDiff(diff: SpecDiff, color: boolean): string {
  if (diff.changes.length === 0) return 'no changes\n'
  const changes = diff.changes.map(({ path, from, to }) => {
    if (from === undefined || from === null) return paint(`+ ${path}: ${valueText(to)}`, 'good', color)
    if (to === undefined || to === null) return paint(`- ${path}: ${valueText(from)}`, 'bad', color)
    return paint(`~ ${path}: ${valueText(from)} → ${valueText(to)}`, 'warn', color)
  })
  const consequences = diff.consequences.map((line) => `  ! ${cleanText(line)}`)
  return `${[...changes, ...(consequences.length === 0 ? [] : ['', 'this will:', ...consequences])].join('\n')}\n`
}

function valueText(value: unknown): string {
  return cleanText(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}
