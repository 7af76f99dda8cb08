import { sql } from 'kysely'
import { columnTypes, type Migration } from './migration.ts'

/** Lines of images: their recipes, builds, and what is on which host. Only adds, so that a controller of the first schema goes on beside. */
export const images: Migration = {
  number: 2,
  name: 'images',
  minimum: 1,
  async up(tx, kind) {
    const { integer, text, table } = columnTypes(tx, kind)

    await table('builds')
      .addColumn('id', text, (c) => c.primaryKey().notNull())
      .addColumn('image', text, (c) => c.notNull())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('host_id', text, (c) => c.references('hosts.id'))
      .addColumn('state', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('revision', integer, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('ended_at', integer)
      .addColumn('doc', text, (c) => c.notNull())
      .addCheckConstraint('builds_ended_once', sql`(state = 'building') = (ended_at is null)`)
      .execute()

    await table('image_lines')
      .addColumn('name', text, (c) => c.primaryKey().notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .execute()

    await table('image_recipes')
      .addColumn('image', text, (c) => c.notNull())
      .addColumn('generation', integer, (c) => c.notNull())
      .addColumn('identity', text)
      .addColumn('files', text)
      .addColumn('set_by', text, (c) => c.notNull())
      .addColumn('set_at', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .addPrimaryKeyConstraint('image_recipes_key', ['image', 'generation'])
      .execute()

    await table('image_holds')
      .addColumn('host_id', text, (c) => c.notNull().references('hosts.id'))
      .addColumn('build_id', text, (c) => c.notNull().references('builds.id').onDelete('cascade'))
      .addColumn('image', text, (c) => c.notNull())
      .addColumn('fetch', integer, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .addPrimaryKeyConstraint('image_holds_key', ['host_id', 'build_id'])
      .execute()

    await table('image_hosts')
      .addColumn('host_id', text, (c) => c.notNull().references('hosts.id'))
      .addColumn('image', text, (c) => c.notNull())
      .addColumn('doc', text, (c) => c.notNull())
      .addPrimaryKeyConstraint('image_hosts_key', ['host_id', 'image'])
      .execute()

    for (const statement of indexes) await sql.raw(statement).execute(tx)
  },
}

const indexes = [
  "create unique index builds_building on builds (image) where state = 'building'",
  "create unique index builds_promoted on builds (image) where state = 'promoted'",
  'create unique index builds_name on builds (name)',
  'create index builds_by_image on builds (image, created_at, id)',
  "create index builds_by_host on builds (host_id, id) where state = 'building'",
  'create index builds_by_end on builds (ended_at, id) where ended_at is not null',
  'create index image_holds_by_build on image_holds (build_id, host_id)',
]
