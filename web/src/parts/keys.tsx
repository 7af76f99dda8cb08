import { useEffect, useRef, type KeyboardEvent as ReactKeyboardEvent } from 'react'
import { knownHosts } from '../api/fleet.ts'
import { useLocation } from './router.tsx'

const pages = { f: '/', q: '/queues', j: '/jobs' } as const
const sequenceMs = 1500
const suggestions = 200

const map: readonly (readonly [string, string])[] = [
  ['g f', 'Fleet'],
  ['g q', 'Queues'],
  ['g j', 'Jobs'],
  ['g h', 'Go to a host by its name'],
  ['/', 'Search or filter on this page'],
  ['f', 'Follow the end of a log'],
  ['← ↑ → ↓', 'Move between hosts of the map; Home, End and Page keys too'],
  ['Enter', 'Open what is chosen'],
  ['?', 'This list'],
]

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, select, dialog[open]') !== null
}

/** Keys that work on every page, the list of them, and the way to a host by its name. */
export function Keys() {
  const { go } = useLocation()
  const help = useRef<HTMLDialogElement>(null)
  const toHost = useRef<HTMLDialogElement>(null)
  const walk = useRef(go)
  useEffect(() => {
    walk.current = go
  })
  useEffect(() => {
    /** When `g` was pressed: the moment of the key itself, so that a busy page loses none. */
    let lead = -sequenceMs
    const afterG = (key: string): boolean => {
      if (key === 'h') toHost.current?.showModal()
      else if (key in pages) walk.current(pages[key as keyof typeof pages])
      else return false
      return true
    }
    const alone = (key: string, at: number): boolean => {
      if (key === 'g') lead = at
      else if (key === '?') help.current?.showModal()
      else return pressed(key)
      return true
    }
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
      const isSecond = event.timeStamp - lead < sequenceMs
      lead = -sequenceMs
      if ((isSecond && afterG(event.key)) || alone(event.key, event.timeStamp)) event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
  return (
    <>
      <dialog ref={help} aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <dl className="keys">
          {map.map(([keys, what]) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <form method="dialog">
          <button type="submit">Close</button>
        </form>
      </dialog>
      <dialog ref={toHost} aria-labelledby="to-host">
        <form
          method="dialog"
          onSubmit={(event) => {
            const name = new FormData(event.currentTarget).get('host')
            event.currentTarget.reset()
            if (typeof name === 'string' && name !== '') go(`/hosts/${encodeURIComponent(name.trim())}`)
          }}
        >
          <h2 id="to-host">Go to a host</h2>
          <label>
            Name <input name="host" list="host-names" autoComplete="off" spellCheck={false} onKeyUp={suggest} />
          </label>
          <datalist id="host-names" aria-label="Names of hosts" />
          <div className="actions">
            <button type="submit">Go</button>
          </div>
        </form>
      </dialog>
      <button type="button" className="plain" onClick={() => help.current?.showModal()}>
        Keys <kbd>?</kbd>
      </button>
    </>
  )
}

/** Things on a page say by `data-key` which key leads to them: fields get the focus, buttons are pressed. */
function pressed(key: string): boolean {
  const target = document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)
  if (target === null) return false
  if (target instanceof HTMLButtonElement) target.click()
  else target.focus()
  return true
}

/** Names of hosts that the page has seen and that have what is typed in them. */
function suggest({ currentTarget }: ReactKeyboardEvent<HTMLInputElement>): void {
  const names = knownHosts().filter(({ name }) => name.includes(currentTarget.value))
  currentTarget.list?.replaceChildren(...names.slice(0, suggestions).map(({ name }) => new Option(name, name)))
}
