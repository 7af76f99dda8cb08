import { useRef, useState, type KeyboardEvent } from 'react'
import type { FleetHost } from '../../../src/model/api.ts'
import { Badge } from '../parts/badge.tsx'
import { Link } from '../parts/router.tsx'
import { isTrouble, lookOf, lookOfHost, type Group } from './looks.ts'

/** Slots that are shown one by one; more are a number. */
const slotsShown = 16

/** A small fleet: a tile per host with its slots. One tile is in the tab order, arrow keys move between them. */
export function Tiles({ groups }: { readonly groups: readonly Group[] }) {
  const box = useRef<HTMLDivElement>(null)
  const names = groups.flatMap(({ hosts }) => hosts.map(({ name }) => name))
  const [active, setActive] = useState<string | null>(null)
  const chosen = active !== null && names.includes(active) ? active : names[0]
  const onKey = (event: KeyboardEvent): void => {
    const tiles = [...(box.current?.querySelectorAll<HTMLElement>('a.tile') ?? [])]
    const next = neighbour(tiles, tiles.indexOf(document.activeElement as HTMLElement), event.key)
    if (next === undefined) return
    event.preventDefault()
    next.focus()
  }
  return (
    <div ref={box} onKeyDown={onKey} role="presentation">
      {groups.map(({ pool, hosts }) => (
        <section key={pool} aria-label={`Pool ${pool}`}>
          <h3 className="pool">
            {pool} <span className="quiet">{hosts.length}</span>
          </h3>
          <ul className="tiles">
            {hosts.map((host) => (
              <li key={host.name}>
                <Tile host={host} isChosen={host.name === chosen} choose={setActive} />
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  )
}

interface TileProps {
  readonly host: FleetHost
  readonly isChosen: boolean
  readonly choose: (name: string) => void
}

function Tile({ host, isChosen, choose }: TileProps) {
  const look = lookOf(host)
  return (
    <Link
      href={`/hosts/${host.name}`}
      className={`tile ${lookOfHost[look].tone}${isTrouble(look) ? ' troubled' : ''}`}
      tabIndex={isChosen ? 0 : -1}
      onFocus={() => choose(host.name)}
    >
      <span className="tile-name">{host.name}</span>
      <span className="tile-count quiet">
        {host.used}/{host.total} <span className="unseen">slots used</span>
      </span>
      <Badge {...lookOfHost[look]} />
      {host.operation === null ? <Slots used={host.used} total={host.total} /> : <span className="tile-count quiet">{host.operation}</span>}
    </Link>
  )
}

function Slots({ used, total }: { readonly used: number; readonly total: number }) {
  if (total > slotsShown) return null
  return (
    <span className="slots" aria-hidden="true">
      {Array.from({ length: total }, (_, slot) => (
        <span key={slot} className={slot < used ? 'slot used' : 'slot'} />
      ))}
    </span>
  )
}

/** The tile that a key leads to; up and down by where tiles lie on the page, whatever the columns. */
function neighbour(tiles: readonly HTMLElement[], from: number, key: string): HTMLElement | undefined {
  if (from === -1) return undefined
  const here = tiles[from]?.getBoundingClientRect()
  if (here === undefined) return undefined
  switch (key) {
    case 'ArrowLeft':
      return tiles[from - 1]
    case 'ArrowRight':
      return tiles[from + 1]
    case 'Home':
      return tiles[0]
    case 'End':
      return tiles.at(-1)
    case 'ArrowDown':
      return nearest(tiles.slice(from + 1), here, 1)
    case 'ArrowUp':
      return nearest(tiles.slice(0, from).toReversed(), here, -1)
    default:
      return undefined
  }
}

function nearest(tiles: readonly HTMLElement[], here: DOMRect, way: 1 | -1): HTMLElement | undefined {
  const boxes = tiles.map((tile) => ({ tile, box: tile.getBoundingClientRect() }))
  const next = boxes.find(({ box }) => (box.top - here.top) * way > 1)
  if (next === undefined) return undefined
  const row = boxes.filter(({ box }) => Math.abs(box.top - next.box.top) < 1)
  return row.toSorted((a, b) => Math.abs(a.box.left - here.left) - Math.abs(b.box.left - here.left))[0]?.tile
}
