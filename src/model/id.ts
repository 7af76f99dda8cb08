import { z } from 'zod'

/** What an id names; the word before the underscore of every id. */
export const idKinds = ['job', 'att', 'host', 'op', 'sbx', 'usr', 'tok', 'enr', 'ses', 'str', 'ctl', 'upl', 'bld'] as const
export type IdKind = (typeof idKinds)[number]

/** Lower-case Crockford base32: no i, l, o, u. Sorts as the number it writes. */
export const idAlphabet = '0123456789abcdefghjkmnpqrstvwxyz'

const idBody = '[0-9a-hjkmnp-tv-z]{26}'

/**
 * `job_01k…`: a kind and 26 base32 characters, of which ten are the time in milliseconds and sixteen are random.
 * Ids of one kind sort by the time they were made.
 */
export type Id<K extends IdKind = IdKind> = `${K}_${string}`

function idSchema<K extends IdKind>(kind: K) {
  return z.templateLiteral([`${kind}_`, z.string().regex(new RegExp(`^${idBody}$`))]) as unknown as z.ZodType<Id<K>, string>
}

export const JobId = idSchema('job')
export type JobId = Id<'job'>
export const AttemptId = idSchema('att')
export type AttemptId = Id<'att'>
export const HostId = idSchema('host')
export type HostId = Id<'host'>
export const OperationId = idSchema('op')
export type OperationId = Id<'op'>
export const BuildId = idSchema('bld')
export type BuildId = Id<'bld'>
export const SandboxId = idSchema('sbx')
export type SandboxId = Id<'sbx'>

/**
 * Builds an id from a moment and sixteen values of 0…31. The caller brings both, so that ids are repeatable in tests.
 *
 * @example formatId('job', 0, new Uint8Array(16)) // 'job_00000000000000000000000000'
 */
export function formatId<K extends IdKind>(kind: K, atMs: number, randomDigits: Uint8Array): Id<K> {
  let time = ''
  let rest = Math.floor(atMs)
  for (let i = 0; i < 10; i += 1) {
    time = idAlphabet.charAt(rest % 32) + time
    rest = Math.floor(rest / 32)
  }
  let tail = ''
  for (let i = 0; i < 16; i += 1) tail += idAlphabet.charAt((randomDigits[i] ?? 0) & 31)
  return `${kind}_${time}${tail}` as Id<K>
}

/** Names that people choose: hosts, pools, queues, images, labels' keys. */
export const Name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/,
    'use 1–63 lower-case letters, digits, dots, dashes or underscores, starting and ending with a letter or digit',
  )
export type Name = string
