import type { GroupDeclaration } from '../../declare.ts'
import { copy } from './copy.ts'
import { info } from './info.ts'

export const state: GroupDeclaration = { name: 'state', verbs: [info, copy] }
