import type { GroupDeclaration } from '../../declare.ts'
import { info } from './info.ts'

export const state: GroupDeclaration = { name: 'state', verbs: [info] }
