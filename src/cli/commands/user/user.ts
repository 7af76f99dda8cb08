import type { GroupDeclaration } from '../../declare.ts'
import { create } from './create.ts'
import { ls } from './ls.ts'
import { rm } from './rm.ts'
import { update } from './update.ts'

export const user: GroupDeclaration = { name: 'user', verbs: [ls, create, update, rm] }
