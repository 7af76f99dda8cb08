import { useState } from 'react'
import { ApiError } from '../api/client.ts'

interface ActionProps {
  readonly label: string
  /** Why it cannot be done now; the button stays visible and says so. */
  readonly disabledReason: string | null
  readonly run: () => Promise<unknown>
  /** Asked before a dangerous action. */
  readonly confirm?: string
}

/** A button that does one thing, says why it cannot, and shows what went wrong with the next thing to do. */
export function Action({ label, disabledReason, run, confirm }: ActionProps) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const press = async (): Promise<void> => {
    if (disabledReason !== null || busy) return
    if (confirm !== undefined && !globalThis.confirm(confirm)) return
    setBusy(true)
    setProblem(null)
    try {
      await run()
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
  return (
    <span className="action">
      <button
        type="button"
        aria-disabled={disabledReason !== null || busy}
        title={disabledReason ?? undefined}
        onClick={() => void press()}
      >
        {busy ? `${label}…` : label}
      </button>
      {disabledReason === null ? null : <small className="quiet">{disabledReason}</small>}
      {problem === null ? null : (
        <small role="alert" className="problem">
          {problem}
        </small>
      )}
    </span>
  )
}
