import type { GroupDeclaration } from '../../declare.ts'
import { cancel } from './cancel.ts'
import { logs } from './logs.ts'
import { ls } from './ls.ts'
import { show } from './show.ts'

export const job: GroupDeclaration = { name: 'job', verbs: [ls, show, logs, cancel] }
