import { createContext, useContext, useEffect, useState, type AnchorHTMLAttributes, type ReactNode, type Ref } from 'react'

const Location = createContext<{
  readonly path: string
  readonly search: URLSearchParams
  readonly go: (to: string) => void
  /** The same page in another state: nothing to come back to, and the focus stays. */
  readonly replace: (to: string) => void
  readonly moved: boolean
} | null>(null)

/** Keeps the URL as the page's state: every view can be linked to, and Back works. */
export function Router({ children }: { readonly children: ReactNode }) {
  const [href, setHref] = useState(() => location.pathname + location.search)
  const [moved, setMoved] = useState(false)
  useEffect(() => {
    const back = (): void => {
      setMoved(true)
      setHref(location.pathname + location.search)
    }
    addEventListener('popstate', back)
    return () => removeEventListener('popstate', back)
  }, [])
  const go = (to: string): void => {
    history.pushState(null, '', to)
    setMoved(true)
    setHref(to)
    scrollTo(0, 0)
  }
  const replace = (to: string): void => {
    history.replaceState(null, '', to)
    setMoved(false)
    setHref(to)
  }
  const url = new URL(href, location.origin)
  return <Location value={{ path: url.pathname, search: url.searchParams, go, replace, moved }}>{children}</Location>
}

export function useLocation() {
  const here = useContext(Location)
  if (here === null) throw new Error('useLocation needs a Router above it')
  return here
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { readonly href: string; readonly ref?: Ref<HTMLAnchorElement> }

/** A link inside the page; with a modifier key the browser does what it always does. */
export function Link({ href, children, ...rest }: LinkProps) {
  const { go, path } = useLocation()
  return (
    <a
      href={href}
      aria-current={path === href ? 'page' : undefined}
      {...rest}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
        event.preventDefault()
        event.stopPropagation()
        go(href)
      }}
    >
      {children}
    </a>
  )
}

/**
 * Tells people who cannot see the page that it changed: the title is set and, after a move inside the page, the heading takes the focus. On a fresh
 * page the focus stays at the top, where the link past the header is.
 */
export function PageHeading({ children, title }: { readonly children: ReactNode; readonly title: string }) {
  const { path, moved } = useLocation()
  useEffect(() => {
    document.title = `${title} · cidery`
    if (moved) document.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true })
  }, [path, title, moved])
  return <h1 tabIndex={-1}>{children}</h1>
}
