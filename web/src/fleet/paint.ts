import type { FleetHost } from '../../../src/model/api.ts'
import type { Block, MapLayout } from './layout.ts'
import { isTrouble, lookOf, lookOfHost, type Look } from './looks.ts'

/** Colours of the style sheet as they are now, light or dark. */
export interface Palette {
  readonly ink: string
  readonly soft: string
  readonly strong: Readonly<Record<string, string>>
  readonly onStrong: string
}

const tones = ['good', 'bad', 'warn', 'hold', 'busy', 'idle'] as const

export function paletteOf(element: HTMLElement): Palette {
  const probe = document.createElement('span')
  element.append(probe)
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const palette = {
    ink: colour('ink'),
    soft: colour('cell'),
    onStrong: colour('card'),
    strong: Object.fromEntries(tones.map((tone) => [tone, colour(tone)])),
  }
  probe.remove()
  return palette
}

/** What a cell shows, as a key: equal cells are painted once and copied. */
function kindOf(host: FleetHost): string {
  const look = lookOf(host)
  const level = look === 'busy' ? Math.max(1, Math.min(7, Math.round((8 * host.used) / Math.max(1, host.total)))) : look === 'full' ? 8 : 0
  return `${look} ${level}`
}

/** Looks that ask for attention are filled, those that people brought about are tinted, those of the daily round stay calm. */
const tinted: ReadonlySet<Look> = new Set(['unknown', 'draining', 'cordoned'])
/** How full they are tells these apart; a glyph in thousands of them would drown the others. */
const calm: ReadonlySet<Look> = new Set(['full', 'busy', 'free'])
/** CSS pixels of a cell in which a glyph of the daily round can be read at leisure. */
const glyphFrom = 16

export interface Painter {
  /** Paints the cells that differ from what is there. */
  paint(hosts: readonly FleetHost[]): void
}

/** Paints a dense map: each kind of cell is drawn once, and only cells that changed are copied again. */
export function createPainter(canvas: HTMLCanvasElement, layout: MapLayout, palette: Palette): Painter {
  const scale = globalThis.devicePixelRatio
  const width = canvas.clientWidth
  canvas.width = Math.round(width * scale)
  canvas.height = Math.round(layout.height * scale)
  const context = canvas.getContext('2d')
  const sprites = new Map<string, HTMLCanvasElement>()
  const painted: (string | undefined)[] = []
  const side = Math.round(layout.cell * scale)
  const { pitch } = layout

  function sprite(kind: string): HTMLCanvasElement {
    const known = sprites.get(kind)
    if (known !== undefined) return known
    const made = drawCell(kind, { side, palette, withCalmGlyphs: layout.cell >= glyphFrom })
    sprites.set(kind, made)
    return made
  }

  function paintBlock(block: Block, hosts: readonly FleetHost[]): void {
    for (let index = block.first; index < block.first + block.count; index += 1) {
      const host = hosts[index]
      if (host === undefined) continue
      const kind = kindOf(host)
      if (painted[index] === kind) continue
      painted[index] = kind
      const at = index - block.first
      const left = Math.round((at % layout.columns) * pitch * scale)
      const top = Math.round((block.cellsTop + Math.floor(at / layout.columns) * pitch) * scale)
      context?.clearRect(left, top, side, side)
      context?.drawImage(sprite(kind), left, top)
    }
  }

  return {
    paint(hosts) {
      for (const block of layout.blocks) paintBlock(block, hosts)
    },
  }
}

interface CellOptions {
  /** Device pixels. */
  readonly side: number
  readonly palette: Palette
  readonly withCalmGlyphs: boolean
}

function drawCell(kind: string, { side, palette, withCalmGlyphs }: CellOptions): HTMLCanvasElement {
  const [look, level] = kind.split(' ') as [Look, string]
  const { glyph, tone } = lookOfHost[look]
  const strong = palette.strong[tone] ?? palette.ink
  const canvas = document.createElement('canvas')
  canvas.width = side
  canvas.height = side
  const context = canvas.getContext('2d')
  if (context === null) return canvas
  context.beginPath()
  context.roundRect(0, 0, side, side, side * 0.18)
  context.clip()
  context.fillStyle = isTrouble(look) ? strong : palette.soft
  context.fillRect(0, 0, side, side)
  // How full it is, from below.
  const height = tinted.has(look) ? side : (side * Number(level)) / 8
  context.globalAlpha = tinted.has(look) ? 0.2 : 0.5
  context.fillStyle = strong
  context.fillRect(0, side - height, side, height)
  context.globalAlpha = 1
  if (calm.has(look) && !withCalmGlyphs) return canvas
  context.fillStyle = isTrouble(look) ? palette.onStrong : strong
  context.font = `${isTrouble(look) ? '700 ' : ''}${Math.round(side * 0.72)}px system-ui, sans-serif`
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  if (look !== 'busy') context.fillText(glyph, side / 2, side * 0.55)
  return canvas
}
