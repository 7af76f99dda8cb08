import { Badge } from '../parts/badge.tsx'
import { Link } from '../parts/router.tsx'
import { lookOf, lookOfHost, type Group } from './looks.ts'

const rowsPerPage = 100

interface HostTableProps {
  readonly groups: readonly Group[]
  readonly page: number
  /** Address of another page of the table. */
  readonly hrefOf: (page: number) => string
}

/** The same hosts as rows, a hundred at a time. */
export function HostTable({ groups, page, hrefOf }: HostTableProps) {
  const hosts = groups.flatMap((group) => group.hosts)
  const pages = Math.max(1, Math.ceil(hosts.length / rowsPerPage))
  const now = Math.min(Math.max(1, page), pages)
  const from = (now - 1) * rowsPerPage
  const shown = hosts.slice(from, from + rowsPerPage)
  return (
    <>
      <section className="scroll" tabIndex={0} aria-label="Table of hosts">
        <table>
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col">State</th>
              <th scope="col">Pool</th>
              <th scope="col">Slots used</th>
              <th scope="col">Operation</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((host) => (
              <tr key={host.name}>
                <th scope="row">
                  <Link href={`/hosts/${host.name}`}>{host.name}</Link>
                </th>
                <td>
                  <Badge {...lookOfHost[lookOf(host)]} />
                </td>
                <td>{host.pool}</td>
                <td>
                  {host.used} of {host.total}
                </td>
                <td>{host.operation ?? <span className="quiet">none</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {pages === 1 ? null : (
        <nav aria-label="Pages of the table" className="pages">
          {now > 1 ? <Link href={hrefOf(now - 1)}>Previous</Link> : null}
          <span className="quiet">
            {from + 1}–{from + shown.length} of {hosts.length.toLocaleString('en-US')}
          </span>
          {now < pages ? <Link href={hrefOf(now + 1)}>Next</Link> : null}
        </nav>
      )}
    </>
  )
}
