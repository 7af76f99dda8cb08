import { homedir } from 'node:os'
import { z } from 'zod'
import type { RegistryClient } from '../drivers/registries/make-registry.ts'
import { registries } from '../drivers/registries/registry.ts'
import { createRegistryCredentials } from '../drivers/registry-credentials/find-credentials.ts'
import type { AgentPorts } from '../ports/agent.ts'

/** What a host is told of the registries that its images come from and go to. */
export const RegistriesConfig = z.strictObject({
  /** Registries, as host or host:port, that are asked over plain HTTP. Loopback always is. */
  insecure: z.array(z.string()).optional(),
  /** PEM file of certificates that are trusted beside those of the system. */
  caFile: z.string().startsWith('/').optional(),
  /** Where to ask before a registry for what is named by a digest: `{ ghcr.io: ['http://127.0.0.1:5000'] }`. */
  mirrors: z.record(z.string(), z.array(z.url())).optional(),
})
export type RegistriesConfig = z.infer<typeof RegistriesConfig>

/** One client for all registries, with the credentials that this host has. It is to be closed. */
export function makeRegistry(
  { insecure, caFile, mirrors }: RegistriesConfig,
  { clock, timers, random, processes, log }: Pick<AgentPorts, 'clock' | 'timers' | 'random' | 'processes' | 'log'>,
): RegistryClient {
  const uid = process.getuid?.() ?? -1
  const credentials = createRegistryCredentials({ platform: process.platform, env: process.env, home: homedir(), processes, log, uid })
  return registries.oci(
    { clock, timers, random, credentials },
    {
      ...(insecure === undefined ? {} : { insecure }),
      ...(caFile === undefined ? {} : { caFile }),
      ...(mirrors === undefined ? {} : { mirrors }),
    },
  )
}
