import type { GroupDeclaration } from '../../declare.ts'
import { build } from './build.ts'
import { builds } from './builds.ts'
import { check, status } from './check.ts'
import { clearForce, forceNotReady, forceReady } from './force.ts'
import { gc } from './gc.ts'
import { lock } from './lock.ts'
import { logs } from './logs.ts'
import { ls } from './ls.ts'
import { promote, rollback } from './promote.ts'
import { pull } from './pull.ts'
import { push } from './push.ts'
import { put } from './put.ts'
import { resolve } from './resolve.ts'
import { rm } from './rm.ts'
import { show } from './show.ts'
import { verify } from './verify.ts'

const ofTheFleet = [ls, check, status, put, build, builds, logs, promote, rollback, forceReady, forceNotReady, clearForce]
const ofRecipes = [show, lock]
const ofThisHost = [resolve, pull, push, verify, rm, gc]

export const image: GroupDeclaration = { name: 'image', verbs: [...ofTheFleet, ...ofRecipes, ...ofThisHost] }
