import type { GroupDeclaration } from '../../declare.ts'
import { kill } from './kill.ts'
import { ls } from './ls.ts'
import { show } from './show.ts'

export const operation: GroupDeclaration = { name: 'operation', verbs: [ls, show, kill] }
