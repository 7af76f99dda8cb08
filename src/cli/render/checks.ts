import type { CheckView } from '../client/views.ts'
import { paint } from './style.ts'
import type { Tone } from './style.ts'
import { cleanText } from './text.ts'

const marks = {
  passed: { word: '✓ PASSED ', tone: 'good' },
  warning: { word: '! WARNING', tone: 'warn' },
  failed: { word: '✗ FAILED ', tone: 'bad' },
} as const satisfies Record<CheckView['state'], { word: string; tone: Tone }>

/** One line per check; below each that did not pass, the next thing to type. */
export function renderChecks(checks: readonly CheckView[], color: boolean): string {
  return checks
    .map((check) => {
      const { word, tone } = marks[check.state]
      const fix = check.fix === null || check.state === 'passed' ? '' : `           next: ${cleanText(check.fix)}\n`
      return `${paint(word, tone, color)}  ${cleanText(`${check.name}: ${check.message}`)}\n${fix}`
    })
    .join('')
}
