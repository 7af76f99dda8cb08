import type { GroupDeclaration } from '../../declare.ts'
import { ls } from './ls.ts'
import { show } from './show.ts'

export const pool: GroupDeclaration = { name: 'pool', verbs: [ls, show] }
