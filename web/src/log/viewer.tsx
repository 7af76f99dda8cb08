import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore, type RefObject } from 'react'
import type { AttemptView } from '../../../src/model/api.ts'
import { bytes as sizeText } from '../parts/format.ts'
import { Failure } from '../parts/notice.tsx'
import { classOf, lastWriting, plainLine, spansOf } from './ansi.ts'
import { createLogReader, type LogReader, type LogView } from './reader.ts'
import { SearchBar, useSearch } from './search-bar.tsx'
import { endOf, rowCount, rowsOf, type Row } from './window.ts'

/** Height of a row in CSS pixels; `.log-row` in the style sheet has the same. */
const rowHeight = 18
const overscan = 30
/** So near to an end of the window that more is read. */
const nearRows = 200

const stateWords = {
  connecting: '… connecting',
  live: '● live',
  held: '‖ held',
  complete: '■ complete',
  lost: '✕ connection lost, trying again',
  refused: '✕ refused',
} as const

interface ViewerProps {
  readonly jobId: string
  readonly attempt: Pick<AttemptView, 'number' | 'logBytes'>
}

/** A job's log: a window of it in memory, the rows in sight on the page. */
export function LogViewer({ jobId, attempt }: ViewerProps) {
  const path = `/api/v1/jobs/${jobId}/log?attempt=${attempt.number}`
  const [reader, setReader] = useState<LogReader | null>(null)
  useEffect(() => {
    const made = createLogReader(path)
    setReader(made)
    return () => made.close()
  }, [path])
  return (
    <section aria-labelledby="log" className="panel log-panel">
      {reader === null ? null : (
        <Viewer reader={reader} written={attempt.logBytes} download={{ href: path, name: `${jobId}-${attempt.number}.log` }} />
      )}
    </section>
  )
}

interface OpenViewerProps {
  readonly reader: LogReader
  /** Bytes that the attempt is known to have written. */
  readonly written: number
  readonly download: { readonly href: string; readonly name: string }
}

function Viewer({ reader, written, download }: OpenViewerProps) {
  const view = useSyncExternalStore(reader.subscribe, reader.view)
  const box = useRef<HTMLDivElement>(null)
  const [follows, setFollows] = useState(true)
  const scroll = useRows(box, { view, follows, reader, setFollows })
  const reveal = (row: number): void => {
    setFollows(false)
    reader.hold()
    const element = box.current
    element?.scrollTo({ top: Math.max(0, row * rowHeight - element.clientHeight / 2) })
  }
  const search = useSearch(view.window, reveal)
  const toEnd = (): void => {
    setFollows(true)
    reader.toEnd()
  }
  const toStart = (): void => {
    setFollows(false)
    reader.toStart()
  }
  return (
    <>
      <div className="log-head">
        <h2 id="log">Log</h2>
        <span className={`quiet log-state ${view.state}`}>{stateWords[view.state]}</span>
        <SearchBar search={search} />
        <span className="log-tools">
          <button type="button" onClick={toStart}>
            Go to the start
          </button>
          <button type="button" onClick={toEnd} aria-pressed={follows} data-key="f">
            Follow the end
          </button>
          <a href={download.href} download={download.name}>
            Download <span className="quiet">{sizeText(view.length)}</span>
          </a>
        </span>
      </div>
      <div ref={box} className="log" tabIndex={0} role="log" aria-labelledby="log" aria-live="off" onScroll={scroll.onScroll}>
        <div className="log-space" style={{ height: scroll.rows * rowHeight }}>
          <div className="log-rows" style={{ transform: `translateY(${scroll.first * rowHeight}px)` }}>
            {scroll.shown.map((row) => (
              <LogRow key={row.place} row={row} isChosen={row.place === search.chosen} />
            ))}
          </div>
        </div>
      </div>
      {view.problem === null ? <p className="quiet log-foot">{footText(view, written)}</p> : <Failure error={view.problem} />}
    </>
  )
}

function footText({ window, length, state }: LogView, written: number): string {
  const count = (value: number): string => value.toLocaleString('en-US')
  if (length === 0 && written > 0 && state === 'complete') return `This log of ${count(written)} bytes is not kept any more.`
  if (length === 0) return 'Nothing written yet.'
  const end = endOf(window)
  if (window.start === 0 && end === length) return `All ${count(length)} bytes are shown.`
  return `Bytes ${count(window.start)}–${count(end)} of ${count(length)} are here; scrolling brings more.`
}

function LogRow({ row, isChosen }: { readonly row: Row; readonly isChosen: boolean }) {
  const { spans } = spansOf(lastWriting(row.text), row.style)
  return (
    <div className={isChosen ? 'log-row chosen' : 'log-row'}>
      <span className="log-number" aria-hidden="true">
        {row.number ?? ''}
      </span>
      <span className="log-text">
        {spans.length === 1 && spans[0]?.style === 0
          ? plainLine(row.text)
          : // A span has no name; its place in the line is what it is.
            spans.map((span, index) => (
              // oxlint-disable-next-line react/no-array-index-key -- see above
              <span key={index} className={classOf(span.style)}>
                {span.text}
              </span>
            ))}
      </span>
    </div>
  )
}

interface RowsOptions {
  readonly view: LogView
  readonly follows: boolean
  readonly reader: LogReader
  readonly setFollows: (follows: boolean) => void
}

/** Which rows are in sight, and what scrolling does. */
function useRows(box: RefObject<HTMLDivElement | null>, { view, follows, reader, setFollows }: RowsOptions) {
  const { window } = view
  const rows = useMemo(() => rowCount(window), [window])
  const [sight, setSight] = useState({ top: 0, height: 600 })
  const origin = useRef(window.origin)
  const opened = useRef(view.opening)
  const first = Math.max(0, Math.min(rows, Math.floor(sight.top / rowHeight)) - overscan)
  const count = Math.ceil(sight.height / rowHeight) + 2 * overscan
  const shown = useMemo(() => rowsOf(window, first, count), [window, first, count])

  // Rows that came or went at the start move what is in sight; following means the end is in sight.
  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const isFresh = opened.current !== view.opening
    const moved = origin.current - window.origin
    opened.current = view.opening
    origin.current = window.origin
    if (follows) element.scrollTo({ top: element.scrollHeight })
    else if (isFresh) element.scrollTo({ top: 0 })
    else if (moved !== 0) element.scrollBy({ top: moved * rowHeight })
    setSight((before) => seen(element, before))
  }, [box, window, view.opening, follows, rows])

  const onScroll = (): void => {
    const element = box.current
    if (element === null) return
    const next = seen(element, sight)
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < rowHeight
    if (next.top < sight.top && !atEnd && follows) {
      setFollows(false)
      reader.hold()
    }
    setSight(next)
    if (follows && atEnd) return
    if (atEnd && next.top > sight.top && endOf(window) >= view.length) {
      setFollows(true)
      return reader.toEnd()
    }
    readMore(element, next.top <= sight.top)
  }

  const readMore = (element: HTMLElement, isUpwards: boolean): void => {
    const { scrollTop, scrollHeight, clientHeight } = element
    if (scrollTop < nearRows * rowHeight && isUpwards) reader.earlier()
    else if (scrollHeight - scrollTop - clientHeight < nearRows * rowHeight) reader.later()
  }

  return { rows, first, shown, onScroll }
}

function seen(element: HTMLElement, before: { readonly top: number; readonly height: number }): typeof before {
  const next = { top: element.scrollTop, height: element.clientHeight }
  return next.top === before.top && next.height === before.height ? before : next
}
