import { z } from 'zod'
import { Name } from './id.ts'
import { Role, Scope } from './identity.ts'
import { Labels } from './shape.ts'

/* People, tokens, sessions, enrolment and secrets, as `/api/v1` shows and takes them; a part of `api.ts`. */

export const UserView = z.strictObject({
  id: z.string(),
  name: z.string(),
  role: Role,
  queues: z.array(z.string()),
  createdAt: z.number(),
  disabled: z.boolean(),
  generation: z.int(),
})
export const UserCreate = z.strictObject({
  name: Name,
  role: Role,
  queues: z.array(Name).default([]),
  password: z.string().min(12).max(256),
})
export const UserPatch = z.strictObject({
  role: Role.optional(),
  queues: z.array(Name).optional(),
  disabled: z.boolean().optional(),
  password: z.string().min(12).max(256).optional(),
})
export const TokenView = z.strictObject({
  id: z.string(),
  name: z.string(),
  user: z.string(),
  scopes: z.array(Scope),
  queues: z.array(z.string()),
  createdAt: z.number(),
  expiresAt: z.number(),
  lastUsedAt: z.number().nullable(),
  revokedAt: z.number().nullable(),
})
export const TokenCreate = z.strictObject({
  name: z.string().min(1).max(100),
  scopes: z.array(Scope).min(1),
  queues: z.array(Name).default([]),
  ttlS: z
    .int()
    .min(60)
    .max(366 * 86_400)
    .default(90 * 86_400),
})
/** `token` is shown this once. */
export const TokenCreated = TokenView.extend({ token: z.string() })
export const LoginRequest = z.strictObject({ name: z.string().max(100), password: z.string().max(256) })
/** `csrfToken` goes back as `X-Cidery-Csrf` with each write of the browser session. */
export const SessionView = z.strictObject({
  user: z.string(),
  role: Role,
  scopes: z.array(Scope),
  queues: z.array(z.string()),
  csrfToken: z.string().nullable(),
  expiresAt: z.number().nullable(),
})

export const EnrolmentCreate = z.strictObject({
  name: Name.optional(),
  pool: Name.default('default'),
  labels: Labels.default({}),
  ttlS: z.int().min(60).max(86_400).default(900),
})
/** `command` is the whole line for the new host; `token` is in it and shown this once. */
export const EnrolmentCreated = z.strictObject({
  id: z.string(),
  token: z.string(),
  url: z.string(),
  caFingerprint: z.string().nullable(),
  command: z.string(),
  expiresAt: z.number(),
})

export const SecretView = z.strictObject({ queue: z.string(), name: z.string(), setBy: z.string(), setAt: z.number() })
export const SecretSet = z.strictObject({ value: z.string().min(1).max(1_048_576) })
