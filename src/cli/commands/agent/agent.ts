import type { GroupDeclaration } from '../../declare.ts'
import { enrol } from './enrol.ts'
import { install } from './install.ts'
import { run } from './run.ts'
import { status } from './status.ts'
import { uninstall } from './uninstall.ts'
import { upgrade } from './upgrade.ts'
import { verify } from './verify.ts'

export const agent: GroupDeclaration = { name: 'agent', verbs: [run, enrol, install, uninstall, status, verify, upgrade] }
