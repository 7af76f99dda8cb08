import type { GroupDeclaration } from '../../declare.ts'
import { info } from '../state/info.ts'
import { run } from './run.ts'

export const controller: GroupDeclaration = { name: 'controller', verbs: [run, info] }
