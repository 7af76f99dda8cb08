import { escapeHtml, tableHtml } from './html.ts'
import type { TableText } from './html.ts'

/** Room of a chart, in units of its own; the page makes it as wide as the text. */
export const plot = { width: 960, height: 300, left: 64, right: 40, top: 16, bottom: 44 } as const
export const inner = { width: plot.width - plot.left - plot.right, height: plot.height - plot.top - plot.bottom } as const

export interface Chart {
  /** Unique on the page. */
  readonly id: string
  readonly title: string
  /** What is to be seen, in a sentence, for those who do not see it. */
  readonly about: string
  readonly height?: number
  /** The drawing, as SVG. */
  readonly drawing: string
  readonly legend: string
  readonly numbers: TableText
}

/** A chart with its title, its legend and the numbers behind it. */
export function figureHtml({ id, title, about, height = plot.height, drawing, legend, numbers }: Chart): string {
  return `<figure>
<figcaption><h2>${escapeHtml(title)}</h2>${legend}</figcaption>
<div class="scroll" tabindex="0" role="group" aria-label="${escapeHtml(title)}">
<svg viewBox="0 0 ${plot.width} ${height}" role="img" aria-labelledby="${id}-title ${id}-about">
<title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-about">${escapeHtml(about)}</desc>
${drawing}
</svg></div>
<details><summary>Numbers of “${escapeHtml(title)}”</summary>${tableHtml(numbers)}</details>
</figure>`
}

/** Names and looks of the lines of a chart. */
export function legendHtml(names: readonly string[]): string {
  const items = names.map(
    (name, index) =>
      `<li><svg class="key" viewBox="0 0 28 10" aria-hidden="true"><path class="line ${seriesClass(index)}" d="M0 5H28"/></svg>${escapeHtml(name)}</li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>`
}

/** Colour and dashes of a scenario; after six they begin anew. */
export function seriesClass(index: number): string {
  return `s${index % 6}`
}

interface Label {
  readonly x: number
  readonly y: number
  readonly anchor?: 'start' | 'middle' | 'end'
}

export function textAt(text: string, { x, y, anchor = 'start' }: Label): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`
}

/** A level line of the grid with its label to the left. */
export function levelLine(y: number, label: string): string {
  return `<path class="grid" d="M${plot.left} ${rounded(y)}H${plot.width - plot.right}"/>${textAt(label, { x: plot.left - 8, y: y + 4, anchor: 'end' })}`
}

/** Fewer digits than a pixel has make a page a third as long. */
export function rounded(value: number): string {
  return String(Math.round(value * 10) / 10)
}
