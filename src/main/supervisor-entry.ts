import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Path of the supervisor's program: beside this file, as source or as built. */
export const supervisorEntry = fileURLToPath(new URL(`supervisor${extname(import.meta.url)}`, import.meta.url))
