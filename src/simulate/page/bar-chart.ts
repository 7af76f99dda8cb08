import { plot, rounded, seriesClass, textAt } from './chart.ts'
import type { Scale } from './scale.ts'

export interface BarGroup {
  readonly head: string
  /** One bar per scenario. */
  readonly bars: readonly { readonly name: string; readonly value: number; readonly text: string }[]
}

const barHeight = 16
const groupGap = 14
const left = 132
/** Room for the text behind the longest bar. */
const right = 150
const bottom = 30

/** How far bars may reach. */
export const barLength = plot.width - left - right

export function barChartHeight(groups: readonly BarGroup[]): number {
  return plot.top + groups.reduce((sum, { bars }) => sum + bars.length * (barHeight + 3) + groupGap, 0) + bottom
}

/** Level bars in groups, each with its value written behind it. */
export function barChart(groups: readonly BarGroup[], x: Scale, xText: (value: number) => string): string {
  const end = barChartHeight(groups) - bottom
  const grid = x.ticks.map(
    (tick) =>
      `<path class="grid" d="M${rounded(left + x.at(tick))} ${plot.top}V${end}"/>${textAt(xText(tick), { x: left + x.at(tick), y: end + 18, anchor: 'middle' })}`,
  )
  let y = plot.top as number
  const drawn = groups.map(({ head, bars }) => {
    const middle = y + (bars.length * (barHeight + 3)) / 2 + 4
    const rows = bars.map(({ name, value, text }, index) => {
      const top = y + index * (barHeight + 3)
      const width = Math.max(1, x.at(value))
      return `<rect class="bar ${seriesClass(index)}" x="${left}" y="${top}" width="${rounded(width)}" height="${barHeight}" rx="2"/>${textAt(`${name} ${text}`, { x: left + width + 6, y: top + 13 })}`
    })
    y += bars.length * (barHeight + 3) + groupGap
    return `${textAt(head, { x: left - 10, y: middle, anchor: 'end' })}${rows.join('')}`
  })
  return [...grid, ...drawn].join('\n')
}
