import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError, call, keepCsrfToken, onSignedOut } from './api/client.ts'
import { useStreamState } from './api/live.ts'
import { FleetPage } from './pages/fleet.tsx'
import { HostPage } from './pages/host.tsx'
import { JobPage } from './pages/job.tsx'
import { JobsPage } from './pages/jobs.tsx'
import { LoginPage, type Session } from './pages/login.tsx'
import { QueuesPage } from './pages/queues.tsx'
import { Announcer } from './parts/announcer.tsx'
import { Keys } from './parts/keys.tsx'
import { Link, PageHeading, Router, useLocation } from './parts/router.tsx'
import { SessionContext } from './parts/session.tsx'

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

function problemOf(error: unknown): string | null {
  if (error instanceof ApiError && error.status === 401) return null
  return error instanceof Error ? error.message : 'the controller does not answer'
}

function App() {
  const [state, setState] = useState<State>({ kind: 'loading' })
  const enter = (session: Session): void => {
    keepCsrfToken(session.csrfToken)
    setState({ kind: 'in', session })
  }
  useEffect(() => {
    // A wrong password and the first look at the session are answered by who asked.
    onSignedOut(() =>
      setState((before) => (before.kind === 'in' ? { kind: 'out', problem: 'your session is over: sign in again' } : before)),
    )
    openSession().then(enter, (error: unknown) => setState({ kind: 'out', problem: problemOf(error) }))
  }, [])
  if (state.kind === 'loading') return <p className="quiet">Loading…</p>
  if (state.kind === 'out') return <LoginPage onLogin={enter} problem={state.problem} />
  const leave = async (): Promise<void> => {
    await call('DELETE', '/session')
    setState({ kind: 'out', problem: null })
  }
  return (
    <SessionContext value={state.session}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Header session={state.session} leave={leave} />
      <main id="main">
        <Page />
      </main>
      <Announcer />
    </SessionContext>
  )
}

function Header({ session, leave }: { readonly session: Session; readonly leave: () => Promise<void> }) {
  const { path } = useLocation()
  const isIn = (noun: string): 'page' | undefined => (path.startsWith(noun) ? 'page' : undefined)
  return (
    <header>
      <Link href="/" className="brand" aria-current={undefined}>
        cidery
      </Link>
      <nav aria-label="Pages" className="tabs">
        <Link href="/" aria-current={path === '/' ? 'page' : isIn('/hosts')}>
          Fleet
        </Link>
        <Link href="/queues">Queues</Link>
        <Link href="/jobs" aria-current={isIn('/jobs')}>
          Jobs
        </Link>
      </nav>
      <span className="who">
        <Connection />
        <Keys />
        <span>
          {session.user} <span className="quiet">{session.role}</span>
        </span>
        <button type="button" className="plain" onClick={() => void leave()}>
          Sign out
        </button>
      </span>
    </header>
  )
}

const connectionWords = {
  connecting: ['idle', '◌', 'connecting'],
  live: ['good', '●', 'live'],
  cut: ['warn', '!', 'looking every 10 s'],
} as const

/** Whether changes come as they happen. */
function Connection() {
  const [tone, glyph, word] = connectionWords[useStreamState()]
  return (
    <span className={tone}>
      <span aria-hidden="true">{glyph}</span> {word}
    </span>
  )
}

function Page() {
  const { path } = useLocation()
  const [, noun, id] = path.split('/')
  if (path === '/') return <FleetPage />
  if (noun === 'queues') return <QueuesPage />
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
