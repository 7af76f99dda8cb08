/* oxlint-disable jsx-a11y/prefer-tag-over-role -- a table's cells cannot lie where the canvas has them */
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react'
import type { FleetHost } from '../../../src/model/api.ts'
import { Link, useLocation } from '../parts/router.tsx'
import { boxOf, cellAt, layoutMap, moveKeys, moved, type MapLayout, type MoveKey } from './layout.ts'
import { hostText, type Group } from './looks.ts'
import { createPainter, paletteOf, type Painter } from './paint.ts'

interface DenseMapProps {
  readonly groups: readonly Group[]
}

/**
 * The fleet as one cell per host, painted on a canvas: 10,000 elements would take the browser a second. Over the canvas lies a grid with one real cell, the
 * chosen one, which keys move and screen readers read.
 */
export function DenseMap({ groups }: DenseMapProps) {
  const { go } = useLocation()
  const frame = useRef<HTMLDivElement>(null)
  const width = useWidth(frame)
  const hosts = useMemo(() => groups.flatMap((group) => group.hosts), [groups])
  const shape = groups.map(({ pool, hosts: members }) => `${pool} ${members.length}`).join('|')
  const layout = useMemo(
    () =>
      layoutMap(
        groups.map(({ pool, hosts: members }) => ({ pool, count: members.length })),
        width,
      ),
    // Only how many there are where decides the places.
    // oxlint-disable-next-line react/exhaustive-deps -- see above
    [shape, width],
  )
  const [active, setActive] = useState(0)
  const [hovered, setHovered] = useState<number | null>(null)
  const chosen = Math.min(active, Math.max(0, hosts.length - 1))
  const moveTo = useRef(false)
  const cell = useRef<HTMLAnchorElement>(null)
  useLayoutEffect(() => {
    if (!moveTo.current) return
    moveTo.current = false
    cell.current?.focus({ preventScroll: true })
    cell.current?.scrollIntoView({ block: 'nearest' })
  }, [chosen])

  const onKey = (event: KeyboardEvent): void => {
    const key = moveKeys.find((one) => one === event.key)
    if (key === undefined) return
    event.preventDefault()
    moveTo.current = true
    setActive(moved(layout, chosen, key satisfies MoveKey))
  }
  const at = (event: PointerEvent | React.MouseEvent): number | null => {
    const box = event.currentTarget.getBoundingClientRect()
    return cellAt(layout, event.clientX - box.left, event.clientY - box.top)
  }
  const host = hosts[chosen]
  const box = boxOf(layout, chosen)
  const rows = boxOf(layout, layout.count - 1)?.row ?? 1
  return (
    <div ref={frame} className="dense" style={{ height: layout.height }}>
      <Painting hosts={hosts} layout={layout} width={width} />
      {layout.blocks.map(({ pool, count, top }) => (
        <h3 key={pool} className="dense-pool" style={{ top }}>
          {pool} <span className="quiet">{count.toLocaleString('en-US')}</span>
        </h3>
      ))}
      <div
        role="grid"
        className="dense-grid"
        tabIndex={-1}
        aria-label="Hosts"
        aria-rowcount={rows}
        aria-colcount={layout.columns}
        onKeyDown={onKey}
        onPointerMove={(event) => setHovered(at(event))}
        onPointerLeave={() => setHovered(null)}
        onClick={(event) => {
          const name = hosts[at(event) ?? -1]?.name
          if (name !== undefined && !event.defaultPrevented) go(`/hosts/${name}`)
        }}
      >
        {host === undefined || box === null ? null : (
          <div role="row" tabIndex={-1} aria-rowindex={box.row}>
            <div
              role="gridcell"
              className="dense-cell"
              tabIndex={-1}
              aria-colindex={box.column}
              style={{ left: box.left, top: box.top, width: layout.cell, height: layout.cell }}
            >
              <Link key={host.name} ref={cell} href={`/hosts/${host.name}`} aria-label={hostText(host)} />
            </div>
          </div>
        )}
      </div>
      <Tip host={hosts[hovered ?? -1]} layout={layout} index={hovered} width={width} />
    </div>
  )
}

function Painting({ hosts, layout, width }: { readonly hosts: readonly FleetHost[]; readonly layout: MapLayout; readonly width: number }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const painter = useRef<Painter | null>(null)
  const dark = useDark()
  useLayoutEffect(() => {
    const element = canvas.current
    painter.current =
      element === null || element.parentElement === null ? null : createPainter(element, layout, paletteOf(element.parentElement))
  }, [layout, width, dark])
  useLayoutEffect(() => painter.current?.paint(hosts), [hosts, layout, width, dark])
  return <canvas ref={canvas} className="dense-canvas" aria-hidden="true" style={{ height: layout.height }} />
}

interface TipProps {
  readonly host: FleetHost | undefined
  readonly layout: MapLayout
  readonly index: number | null
  readonly width: number
}

/** What is under the pointer, in words. */
function Tip({ host, layout, index, width }: TipProps) {
  const box = index === null ? null : boxOf(layout, index)
  if (host === undefined || box === null) return null
  const isRight = box.left > width / 2
  const place = isRight ? { right: width - box.left - layout.cell } : { left: box.left }
  return (
    <div className="tip" aria-hidden="true" style={{ ...place, top: box.top + layout.cell + 6 }}>
      {hostText(host)}
    </div>
  )
}

function useWidth(frame: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    setWidth(element.clientWidth)
    const observer = new ResizeObserver(() => setWidth(element.clientWidth))
    observer.observe(element)
    return () => observer.disconnect()
  }, [frame])
  return width
}

function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches)
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const turn = (): void => setDark(query.matches)
    query.addEventListener('change', turn)
    return () => query.removeEventListener('change', turn)
  }, [])
  return dark
}
