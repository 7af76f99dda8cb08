import type { GroupDeclaration } from '../../declare.ts'
import { create } from './create.ts'
import { ls } from './ls.ts'
import { revoke } from './revoke.ts'

export const token: GroupDeclaration = { name: 'token', verbs: [create, ls, revoke] }
