import type { GroupDeclaration } from '../../declare.ts'
import { githubActions } from './github-actions.ts'
import { packer } from './packer.ts'

export const generate: GroupDeclaration = { name: 'generate', verbs: [packer, githubActions] }
