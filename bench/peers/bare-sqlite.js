// A group-commit loop on SQLite alone: rows of one document are replaced, many per durable commit. In process, no network.
// `node bare-sqlite.js FILE BYTES GROUP`; for each line `MS` on stdin it prints how many rows per second it wrote in that time.
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'

const [file, bytes, group] = process.argv.slice(2)
const hosts = 2000
const database = new DatabaseSync(file)
database.exec('pragma journal_mode=wal; pragma synchronous=full; create table hosts (id integer primary key, seen integer, doc text)')
const put = database.prepare('insert into hosts values (?, ?, ?) on conflict (id) do update set seen = excluded.seen, doc = excluded.doc')
const filler = 'x'.repeat(Number(bytes))
let row = 0

for await (const line of createInterface({ input: process.stdin })) {
  const startedAt = performance.now()
  let written = 0
  while (performance.now() - startedAt < Number(line)) {
    database.exec('begin immediate')
    for (let count = 0; count < Number(group); count += 1) {
      row += 1
      put.run(row % hosts, row, `${row}${filler}`)
    }
    database.exec('commit')
    written += Number(group)
  }
  console.log((written / (performance.now() - startedAt)) * 1000)
}
