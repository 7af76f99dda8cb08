import type { GroupDeclaration } from '../../declare.ts'
import { ls } from './ls.ts'
import { rm } from './rm.ts'
import { set } from './set.ts'

export const secret: GroupDeclaration = { name: 'secret', verbs: [set, ls, rm] }
