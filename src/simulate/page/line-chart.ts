import { inner, levelLine, plot, rounded, seriesClass, textAt } from './chart.ts'
import type { Scale } from './scale.ts'

export interface Line {
  readonly name: string
  /** Places on the two axes. */
  readonly points: readonly (readonly [x: number, y: number])[]
  /** A level to compare it with: drawn thin. */
  readonly limit?: number
}

export interface LineChart {
  readonly y: Scale
  readonly yText: (value: number) => string
  /** Labels below, by their place from the left. */
  readonly xLabels: readonly (readonly [x: number, text: string])[]
  readonly xTitle: string
  readonly lines: readonly Line[]
}

/** Lines over a common axis, each with its name at its end. */
export function lineChart({ y, yText, xLabels, xTitle, lines }: LineChart): string {
  const bottom = plot.top + inner.height
  const at = (value: number) => bottom - y.at(value)
  const levels = y.ticks.map((tick) => levelLine(at(tick), yText(tick)))
  const marks = xLabels.map(
    ([x, text]) =>
      `<path class="grid" d="M${rounded(plot.left + x)} ${bottom}v5"/>${textAt(text, { x: plot.left + x, y: bottom + 19, anchor: 'middle' })}`,
  )
  const drawn = lines.map(({ points, limit }, index) => {
    const path = points.map(([x, value], first) => `${first === 0 ? 'M' : 'L'}${rounded(plot.left + x)} ${rounded(at(value))}`).join('')
    const level =
      limit === undefined ? '' : `<path class="limit ${seriesClass(index)}" d="M${plot.left} ${rounded(at(limit))}h${inner.width}"/>`
    return `${level}<path class="line ${seriesClass(index)}" d="${path}"/>`
  })
  const title = textAt(xTitle, { x: plot.left + inner.width / 2, y: bottom + 38, anchor: 'middle' })
  return [...levels, ...marks, title, ...drawn, ...endLabels(lines, at)].join('\n')
}

const labelHeight = 15

/** The name of each line at its end, moved apart upwards where lines end at one place. */
function endLabels(lines: readonly Line[], at: (value: number) => number): readonly string[] {
  const ends = lines.flatMap(({ name, points }) => {
    const last = points.at(-1)
    return last === undefined ? [] : [{ name, x: last[0], y: at(last[1]) }]
  })
  let below = plot.top + inner.height + labelHeight
  return ends
    .sort((one, other) => other.y - one.y)
    .map(({ name, x, y }) => {
      below = Math.min(y, below - labelHeight)
      return textAt(name, { x: plot.left + x + 6, y: below + 4 })
    })
}
