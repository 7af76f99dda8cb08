import type { GroupDeclaration } from '../../declare.ts'
import { create } from './create.ts'
import { exec } from './exec.ts'
import { logs } from './logs.ts'
import { ls } from './ls.ts'
import { reset } from './reset.ts'
import { restart } from './restart.ts'
import { rm } from './rm.ts'
import { show } from './show.ts'
import { snapshot } from './snapshot.ts'
import { ssh } from './ssh.ts'
import { start } from './start.ts'
import { stop } from './stop.ts'

export const sandbox: GroupDeclaration = {
  name: 'sandbox',
  verbs: [ls, show, create, start, stop, restart, reset, rm, snapshot, logs, ssh, exec],
}
