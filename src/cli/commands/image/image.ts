import type { GroupDeclaration } from '../../declare.ts'
import { lock } from './lock.ts'
import { show } from './show.ts'

export const image: GroupDeclaration = { name: 'image', verbs: [show, lock] }
