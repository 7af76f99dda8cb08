import { Badge } from '../parts/badge.tsx'
import { Link } from '../parts/router.tsx'
import { lookOfHost, troubles, type FleetSummary, type Look } from './looks.ts'

/** So many names of a kind of trouble are enough to begin with. */
const namesShown = 6

interface TroubleProps {
  readonly troubled: FleetSummary['troubled']
  /** Address of the fleet with nothing but hosts of a look. */
  readonly hrefOf: (look: Look) => string
}

/** Hosts that somebody has to look at, by name: the map says where they are, this is where to begin. */
export function Trouble({ troubled, hrefOf }: TroubleProps) {
  const kinds = troubles.filter((look) => troubled[look].length > 0)
  if (kinds.length === 0) return null
  return (
    <section aria-label="Needs attention">
      <ul className="trouble">
        {kinds.map((look) => (
          <li key={look}>
            <Badge {...lookOfHost[look]} />
            {troubled[look].slice(0, namesShown).map(({ name }) => (
              <Link key={name} href={`/hosts/${name}`}>
                {name}
              </Link>
            ))}
            {troubled[look].length <= namesShown ? null : (
              <Link href={hrefOf(look)} className="quiet">
                and {(troubled[look].length - namesShown).toLocaleString('en-US')} more
                <span className="unseen"> hosts that are {lookOfHost[look].word}</span>
              </Link>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
