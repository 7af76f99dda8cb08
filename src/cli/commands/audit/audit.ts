import type { GroupDeclaration } from '../../declare.ts'
import { exportJournal } from './export.ts'
import { ls } from './ls.ts'
import { verify } from './verify.ts'

export const audit: GroupDeclaration = { name: 'audit', verbs: [ls, verify, exportJournal] }
