import type { GroupDeclaration } from '../../declare.ts'
import { ls } from './ls.ts'
import { show } from './show.ts'

export const queue: GroupDeclaration = { name: 'queue', verbs: [ls, show] }
