import { useState, type SubmitEvent } from 'react'
import type { z } from 'zod'
import type { SessionView } from '../../../src/model/api.ts'
import { ApiError, call } from '../api/client.ts'
import { PageHeading } from '../parts/router.tsx'

export type Session = z.infer<typeof SessionView>

export function LoginPage({ onLogin, problem }: { readonly onLogin: (session: Session) => void; readonly problem: string | null }) {
  const [failure, setFailure] = useState<string | null>(problem)
  const submit = async (event: SubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    try {
      onLogin(await call<Session>('POST', '/session', { body: { name: form.get('name'), password: form.get('password') } }))
    } catch (error) {
      setFailure(error instanceof ApiError ? error.message : 'the controller does not answer')
    }
  }
  return (
    <main className="login">
      <PageHeading title="Sign in">Sign in to cidery</PageHeading>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Name <input name="name" autoComplete="username" required />
        </label>
        <label>
          Password <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <button type="submit">Sign in</button>
        {failure === null ? null : (
          <p role="alert" className="problem">
            {failure}
          </p>
        )}
      </form>
      <p className="quiet">
        The first admin's password is in <code>admin.password</code> in the controller's state directory; <code>cidery up</code> also prints
        a link that signs you in once.
      </p>
    </main>
  )
}
