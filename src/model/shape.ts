import { z } from 'zod'

/** Room that a job takes or a host has: CPUs (may be a fraction), MiB of memory, MiB of disk. */
export const Shape = z.strictObject({
  cpu: z.number().positive().max(1024),
  memoryMiB: z.int().positive().max(16_777_216),
  diskMiB: z.int().nonnegative().max(1_073_741_824),
})
export type Shape = z.infer<typeof Shape>

/** Labels of a host, or the labels that a job wants. A job's selector matches when every pair is on the host. */
export const Labels = z.record(z.string().regex(/^[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?$/), z.string().max(128))
export type Labels = Readonly<Record<string, string>>
