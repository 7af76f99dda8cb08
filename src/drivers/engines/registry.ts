import type { MakeEngine } from './make-engine.ts'
import { makeQemuEngine } from './qemu/index.ts'
import { makeTartEngine } from './tart/index.ts'
import { makeUserEngine } from './user/index.ts'

/** Every way to isolate a job. A new kind is one folder and one line here. */
export const engines = { user: makeUserEngine, qemu: makeQemuEngine, tart: makeTartEngine } satisfies Record<string, MakeEngine>
