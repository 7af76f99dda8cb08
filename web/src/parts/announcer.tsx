import { useEffect, useState } from 'react'

let say: ((text: string) => void) | null = null

/** Tells people who do not see the page what changed on it. */
export function announce(text: string): void {
  say?.(text)
}

/** Where announcements are heard from; once on the page. */
export function Announcer() {
  const [text, setText] = useState('')
  useEffect(() => {
    say = setText
    return () => {
      say = null
    }
  }, [])
  return (
    <output className="unseen" aria-live="polite" id="announcer">
      {text}
    </output>
  )
}
