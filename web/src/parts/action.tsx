import { useId, useRef, useState, type ReactNode, type SubmitEvent } from 'react'
import { ApiError } from '../api/client.ts'
import { announce } from './announcer.tsx'

/** What is asked before a dangerous action. */
export interface Confirm {
  readonly text: string
  /** Has to be typed, letter by letter. */
  readonly name?: string
  /** Further questions of the form, read by `run`. */
  readonly fields?: ReactNode
}

interface ActionProps {
  readonly label: string
  /** Why it cannot be done now; the button stays visible and says so. */
  readonly disabledReason: string | null
  /** The reason stands elsewhere on the page, for several actions at once, in an element of this id. */
  readonly sharedReasonId?: string | undefined
  readonly run: (form: FormData) => Promise<unknown>
  readonly confirm?: Confirm
  readonly isDangerous?: boolean
}

/** A button that does one thing, says why it cannot, and shows what went wrong with the next thing to do. */
export function Action({ label, disabledReason, sharedReasonId, run, confirm, isDangerous = false }: ActionProps) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const dialog = useRef<HTMLDialogElement>(null)
  const ownReasonId = useId()
  const perform = async (form: FormData): Promise<void> => {
    setBusy(true)
    setProblem(null)
    try {
      await run(form)
      announce(`${label}: done`)
    } catch (error) {
      setProblem(
        error instanceof ApiError
          ? [error.message, error.hint].filter((part) => part !== undefined).join(' — ')
          : 'the controller does not answer',
      )
    } finally {
      setBusy(false)
    }
  }
  const press = (): void => {
    if (disabledReason !== null || busy) return
    if (confirm === undefined) void perform(new FormData())
    else dialog.current?.showModal()
  }
  return (
    <span className="action">
      <button
        type="button"
        className={isDangerous ? 'danger' : undefined}
        aria-disabled={disabledReason !== null || busy}
        aria-describedby={disabledReason === null ? undefined : (sharedReasonId ?? ownReasonId)}
        onClick={press}
      >
        {busy ? `${label}…` : label}
      </button>
      {disabledReason === null || sharedReasonId !== undefined ? null : (
        <small className="quiet" id={ownReasonId}>
          {disabledReason}
        </small>
      )}
      {problem === null ? null : (
        <small role="alert" className="problem">
          {problem}
        </small>
      )}
      {confirm === undefined ? null : (
        <dialog ref={dialog} aria-label={label}>
          <ConfirmForm label={label} confirm={confirm} close={() => dialog.current?.close()} perform={perform} />
        </dialog>
      )}
    </span>
  )
}

interface FormProps {
  readonly label: string
  readonly confirm: Confirm
  readonly close: () => void
  readonly perform: (form: FormData) => Promise<void>
}

function ConfirmForm({ label, confirm, close, perform }: FormProps) {
  const [typed, setTyped] = useState('')
  const ready = confirm.name === undefined || typed === confirm.name
  const submit = (event: SubmitEvent<HTMLFormElement>): void => {
    event.preventDefault()
    if (!ready) return
    const form = new FormData(event.currentTarget)
    setTyped('')
    close()
    void perform(form)
  }
  return (
    <form onSubmit={submit}>
      <h2>{label}</h2>
      <p>{confirm.text}</p>
      {confirm.fields}
      {confirm.name === undefined ? null : (
        <label>
          <span>
            Type <b>{confirm.name}</b> to go on
          </span>
          <input value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" spellCheck={false} />
        </label>
      )}
      <div className="actions">
        <button type="submit" className="danger" aria-disabled={!ready}>
          {label}
        </button>
        <button type="button" onClick={close}>
          Leave it
        </button>
      </div>
    </form>
  )
}
