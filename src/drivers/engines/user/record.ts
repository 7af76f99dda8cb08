import { z } from 'zod'
import { Holder } from '../records.ts'

/** What the engine wrote down before it changed anything on the host for a sandbox. */
export const SandboxRecord = z.strictObject({
  id: z.string(),
  jobId: z.string(),
  account: z.string(),
  uid: z.int(),
  home: z.string(),
  shape: z.strictObject({ cpu: z.number(), memoryMiB: z.int(), diskMiB: z.int() }),
  limits: z.enum(['enforced', 'advisory']),
  network: z.enum(['nat', 'host', 'none']),
  blockedAddresses: z.array(z.string()),
  /** Directory of the host that is shown inside, with every link followed. */
  mount: z.string().nullable().default(null),
  /** Which of the /30 networks of the engine's range is its own; null without `nat`. */
  networkSlot: z.int().nullable(),
  /** `creating` until every part exists, `removing` from the first step of its end; a crash leaves what is to be cleaned. */
  phase: z.enum(['creating', 'ready', 'removing']),
  createdAt: z.number(),
  /** The process that keeps a running sandbox's namespaces alive. */
  holder: Holder.nullable(),
  /** What the last clean-up could not remove. */
  residue: z.array(z.string()),
  notes: z.array(z.string()),
})
export type SandboxRecord = z.infer<typeof SandboxRecord>
