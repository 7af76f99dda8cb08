import { CideryError } from '../model/errors.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { Reader, Writer } from '../ports/store.ts'
import { compiledOnce } from './compiled.ts'

export interface Lead {
  readonly epoch: number
  readonly holder: string
  readonly expiresAt: Instant
}

export interface TakeLeadOptions {
  /** Id of this controller's run (`ctl_…`). */
  readonly holder: string
  /** The database's clock, read before the transaction: an older moment only errs to the safe side. */
  readonly now: Instant
  readonly ttl: Milliseconds
  /** Nobody else can be alive on this state (the kernel lock of a SQLite directory is ours): do not wait for the lease of the dead. */
  readonly alone?: boolean
}

/**
 * Takes the lead under a new epoch, or answers null while another holds it.
 *
 * @example await store.write((tx) => takeLead(tx, { holder: 'ctl_01k…', now, ttl: 15_000 })) // { epoch: 8, … }
 */
export async function takeLead(tx: Writer, options: TakeLeadOptions): Promise<Lead | null> {
  const current = await readLead(tx)
  const held = current !== null && current.holder !== options.holder && current.expiresAt > options.now
  if (held && options.alone !== true) return null
  const lead = { epoch: (current?.epoch ?? 0) + 1, holder: options.holder, expiresAt: options.now + options.ttl }
  const row = { epoch: lead.epoch, holder: lead.holder, expires_at: lead.expiresAt }
  await tx
    .insertInto('lead')
    .values({ id: 1, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute()
  return lead
}

/** Holds the lead for another `ttl`. Throws STALE_EPOCH when somebody else took it. */
export async function renewLead(
  tx: Writer,
  options: { readonly epoch: number; readonly now: Instant; readonly ttl: Milliseconds },
): Promise<Lead> {
  const current = await requireEpoch(tx, options.epoch)
  const expiresAt = options.now + options.ttl
  await tx.updateTable('lead').set({ expires_at: expiresAt }).where('id', '=', 1).execute()
  return { ...current, expiresAt }
}

/** Gives the lead up, so that the next need not wait for the lease to end. Throws STALE_EPOCH when it was lost already. */
export async function releaseLead(tx: Writer, epoch: number): Promise<void> {
  await requireEpoch(tx, epoch)
  await tx.updateTable('lead').set({ expires_at: 0 }).where('id', '=', 1).execute()
}

/** Throws STALE_EPOCH unless this epoch still leads. Called in the transaction of every write of the leader's loop. */
export async function requireEpoch(tx: Reader, epoch: number): Promise<Lead> {
  const current = await readLead(tx)
  if (current?.epoch === epoch) return current
  throw new CideryError(
    'STALE_EPOCH',
    `epoch ${epoch} does not lead any more; ${current === null ? 'nobody does' : `epoch ${current.epoch} does`}`,
    {
      details: { epoch, leads: current?.epoch ?? null },
    },
  )
}

/** Who leads, or led last; null on a state that never had a leader. */
export async function readLead(db: Reader): Promise<Lead | null> {
  const [row] = await leadRow(db)
  return row === undefined ? null : { epoch: row.epoch, holder: row.holder, expiresAt: row.expires_at }
}

const leadRow = compiledOnce((db: Reader) => db.selectFrom('lead').selectAll().where('id', '=', 1))
