import { useMemo, useState, type KeyboardEvent } from 'react'
import { search, type LogWindow } from './window.ts'

export interface LogSearch {
  readonly text: string
  readonly found: number
  /** Which of them is chosen, from 1; 0: none. */
  readonly place: number
  /** Row of it, counted from the first that ever was, so that the choice stays where it is while rows come and go. */
  readonly chosen: number | null
  setText(text: string): void
  step(by: 1 | -1): void
}

/** Searches what is loaded of a log; `reveal` brings a row of the window into sight. */
export function useSearch(window: LogWindow, reveal: (row: number) => void): LogSearch {
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState<number | null>(null)
  const rows = useMemo(() => search(window, text), [window, text])
  const place = chosen === null ? 0 : rows.indexOf(chosen - window.origin) + 1
  const choose = (row: number | undefined): void => {
    setChosen(row === undefined ? null : row + window.origin)
    if (row !== undefined) reveal(row)
  }
  return {
    text,
    found: rows.length,
    place,
    chosen: place === 0 ? null : chosen,
    setText(wanted) {
      setText(wanted)
      choose(search(window, wanted).at(-1))
    },
    step(by) {
      const from = place === 0 ? (by === 1 ? -1 : 0) : place - 1
      choose(rows.at((from + by) % Math.max(1, rows.length)))
    },
  }
}

export function SearchBar({ search: { text, found, place, setText, step } }: { readonly search: LogSearch }) {
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter') step(event.shiftKey ? -1 : 1)
    else if (event.key === 'Escape') setText('')
    else return
    event.preventDefault()
  }
  return (
    <search className="log-search">
      <input
        type="search"
        aria-label="Search what is loaded"
        placeholder="Search what is loaded"
        data-key="/"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      <output className="quiet">{text === '' ? '' : found === 0 ? 'nothing found' : `${place} of ${found}`}</output>
      <button type="button" aria-label="Previous match" disabled={found === 0} onClick={() => step(-1)}>
        ↑
      </button>
      <button type="button" aria-label="Next match" disabled={found === 0} onClick={() => step(1)}>
        ↓
      </button>
    </search>
  )
}
