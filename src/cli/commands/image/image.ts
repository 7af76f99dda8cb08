import type { GroupDeclaration } from '../../declare.ts'
import { build } from './build.ts'
import { gc } from './gc.ts'
import { lock } from './lock.ts'
import { logs } from './logs.ts'
import { ls } from './ls.ts'
import { pull } from './pull.ts'
import { push } from './push.ts'
import { resolve } from './resolve.ts'
import { rm } from './rm.ts'
import { show } from './show.ts'
import { verify } from './verify.ts'

export const image: GroupDeclaration = { name: 'image', verbs: [ls, show, lock, resolve, build, logs, pull, push, verify, rm, gc] }
