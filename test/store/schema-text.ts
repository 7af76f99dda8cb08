import { sql } from 'kysely'
import type { Reader, Store } from '../../src/ports/store.ts'

/** The schema of a database as SQL that makes it again, one statement a line, in a fixed order. */
export async function readSchemaText(db: Reader, kind: Store['kind']): Promise<string> {
  const statements = kind === 'sqlite' ? await sqliteStatements(db) : await postgresStatements(db)
  return statements.map((statement) => `${statement.replaceAll(/\s+/g, ' ').trim()};\n`).join('')
}

async function sqliteStatements(db: Reader): Promise<readonly string[]> {
  // Indexes that SQLite makes for a key have no text.
  const { rows } = await sql<{ sql: string }>`
    select sql from sqlite_schema where sql is not null and name not like 'sqlite_%' order by case type when 'table' then 0 else 1 end, rowid`.execute(
    db,
  )
  return rows.map((row) => row.sql)
}

async function postgresStatements(db: Reader): Promise<readonly string[]> {
  const tables = await sql<{ text: string }>`
    select format('create table %I (%s)', c.relname, string_agg(format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
      case when a.attcollation <> 0 and a.attcollation <> t.typcollation then ' collate "' || o.collname || '"' else '' end,
      case when a.attnotnull then ' not null' else '' end), ', ' order by a.attnum)) as text
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid left join pg_collation o on o.oid = a.attcollation
    where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace group by c.relname order by c.relname`.execute(db)
  const constraints = await sql<{ text: string }>`
    select format('alter table %I add constraint %I %s', r.relname, c.conname, pg_get_constraintdef(c.oid)) as text
    from pg_constraint c join pg_class r on r.oid = c.conrelid
    where c.connamespace = current_schema()::regnamespace and c.contype <> 'n' order by case c.contype when 'f' then 1 else 0 end, r.relname, c.conname`.execute(
    db,
  )
  const indexes = await sql<{ text: string }>`
    select replace(pg_get_indexdef(i.indexrelid), format(' ON %s.', current_schema()), ' ON ') as text
    from pg_index i join pg_class x on x.oid = i.indexrelid
    where x.relnamespace = current_schema()::regnamespace and not exists (select 1 from pg_constraint c where c.conindid = i.indexrelid)
    order by x.relname`.execute(db)
  return [...tables.rows, ...constraints.rows, ...indexes.rows].map((row) => row.text)
}
