import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError, call, keepCsrfToken } from './api/client.ts'
import { FleetPage } from './pages/fleet.tsx'
import { HostPage } from './pages/host.tsx'
import { JobPage } from './pages/job.tsx'
import { JobsPage } from './pages/jobs.tsx'
import { LoginPage, type Session } from './pages/login.tsx'
import { Link, PageHeading, Router, useLocation } from './parts/router.tsx'

/** A one-time code in the fragment (`#code=…`) signs in; it never reaches a server log, and is taken out of the address at once. */
async function openSession(): Promise<Session> {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (code === null) return call<Session>('GET', '/session')
  history.replaceState(null, '', location.pathname + location.search)
  return call<Session>('POST', '/session/redeem', { body: { code } })
}

type State =
  | { readonly kind: 'loading' }
  | { readonly kind: 'out'; readonly problem: string | null }
  | { readonly kind: 'in'; readonly session: Session }

function App() {
  const [state, setState] = useState<State>({ kind: 'loading' })
  const enter = (session: Session): void => {
    keepCsrfToken(session.csrfToken)
    setState({ kind: 'in', session })
  }
  useEffect(() => {
    openSession().then(enter, (error: unknown) => {
      setState({
        kind: 'out',
        problem:
          error instanceof ApiError && error.status === 401
            ? null
            : error instanceof Error
              ? error.message
              : 'the controller does not answer',
      })
    })
  }, [])
  if (state.kind === 'loading') return <p className="quiet">Loading…</p>
  if (state.kind === 'out') return <LoginPage onLogin={enter} problem={state.problem} />
  const leave = async (): Promise<void> => {
    await call('DELETE', '/session')
    setState({ kind: 'out', problem: null })
  }
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <Link href="/" className="brand">
          cidery
        </Link>
        <nav aria-label="Pages">
          <Link href="/">Fleet</Link>
          <Link href="/jobs">Jobs</Link>
        </nav>
        <span className="who">
          {state.session.user} <span className="quiet">({state.session.role})</span>{' '}
          <button type="button" onClick={() => void leave()}>
            Sign out
          </button>
        </span>
      </header>
      <main id="main">
        <Page />
      </main>
    </>
  )
}

function Page() {
  const { path } = useLocation()
  const [, noun, id] = path.split('/')
  if (path === '/') return <FleetPage />
  if (noun === 'jobs' && id === undefined) return <JobsPage />
  if (noun === 'jobs' && id !== undefined) return <JobPage id={id} key={id} />
  if (noun === 'hosts' && id !== undefined) return <HostPage name={id} key={id} />
  return <PageHeading title="Not found">There is no page here</PageHeading>
}

const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Router>
        <App />
      </Router>
    </StrictMode>,
  )
}
