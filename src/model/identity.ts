import { z } from 'zod'
import type { Instant } from './instant.ts'

export const roles = ['viewer', 'operator', 'admin'] as const
export const Role = z.enum(roles)
export type Role = z.infer<typeof Role>

/**
 * What a person or an API token may do; a role brings a set of them, and a token may narrow it.
 * `read` sees everything but secrets; `jobs` submits and cancels; `hosts` cordons, drains and operates; `spec` applies plans;
 * `secrets` sets and removes; `people` manages users, tokens, enrolment and audit; `exec` runs commands on hosts and opens shells.
 */
export const scopes = ['read', 'jobs', 'hosts', 'spec', 'secrets', 'people', 'exec'] as const
export const Scope = z.enum(scopes)
export type Scope = z.infer<typeof Scope>

export const scopesOfRole = {
  viewer: ['read'],
  operator: ['read', 'jobs', 'hosts'],
  admin: ['read', 'jobs', 'hosts', 'spec', 'secrets', 'people', 'exec'],
} as const satisfies Record<Role, readonly Scope[]>

/** A role that holds on some queues only (`queues` empty: on all). */
export interface Principal {
  readonly kind: 'user' | 'token' | 'host' | 'system'
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  /** Queues that `jobs` and `secrets` are limited to; empty: all. */
  readonly queues: readonly string[]
}

/** Whether a principal may use a scope, on a queue when one is concerned. */
export function allows(principal: Principal, scope: Scope, queue?: string): boolean {
  if (!principal.scopes.includes(scope)) return false
  return queue === undefined || principal.queues.length === 0 || principal.queues.includes(queue)
}

export interface User {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly queues: readonly string[]
  readonly createdAt: Instant
  readonly disabled: boolean
  readonly generation: number
}

/** An API token as people see it; the secret is shown once, at creation, and only its SHA-256 is kept. */
export interface ApiToken {
  readonly id: string
  readonly name: string
  readonly userId: string
  readonly scopes: readonly Scope[]
  readonly queues: readonly string[]
  readonly createdAt: Instant
  readonly expiresAt: Instant
  readonly lastUsedAt: Instant | null
  readonly revokedAt: Instant | null
}
