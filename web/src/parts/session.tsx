import { createContext, useContext } from 'react'
import type { Session } from '../pages/login.tsx'

/** Who looks at the page, and what they may do. */
export const SessionContext = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (session === null) throw new Error('useSession needs a signed-in page above it')
  return session
}
