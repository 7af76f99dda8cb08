import type { MakeRegistry } from './make-registry.ts'
import { createOciRegistry } from './oci/index.ts'

/** Every protocol that registries speak. A new one is one folder and one line here. */
export const registries = { oci: createOciRegistry } satisfies Record<string, MakeRegistry>
