import type { Cli } from '../cli.ts'

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'dim' | 'plain' | 'strong'

const codes = { good: '32', bad: '31', warn: '33', busy: '36', dim: '2', strong: '1' } as const satisfies Record<
  Exclude<Tone, 'plain'>,
  string
>

/** Colours text; the text must say the same without them. */
export function paint(text: string, tone: Tone, color: boolean): string {
  return !color || tone === 'plain' || text === '' ? text : `\u001B[${codes[tone]}m${text}\u001B[0m`
}

/** Whether to write colours: asked for, or a terminal that nobody asked not to. NO_COLOR wins over everything but an own wish. */
export function wantsColor(env: Cli['env'], isTTY: boolean): boolean {
  const on = (name: string) => env[name] !== undefined && env[name] !== '' && env[name] !== '0'
  if (on('CIDERY_NO_COLOR') || on('NO_COLOR')) return false
  if (on('CLICOLOR_FORCE') || on('CIDERY_CLICOLOR_FORCE')) return true
  if (env['CLICOLOR'] === '0' || env['CIDERY_CLICOLOR'] === '0' || env['TERM'] === 'dumb') return false
  return isTTY
}
