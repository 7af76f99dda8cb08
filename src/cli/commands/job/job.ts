import type { GroupDeclaration } from '../../declare.ts'
import { artifacts } from './artifacts.ts'
import { cancel } from './cancel.ts'
import { explain } from './explain.ts'
import { exportJobs } from './export.ts'
import { logs } from './logs.ts'
import { ls } from './ls.ts'
import { rerun } from './rerun.ts'
import { show } from './show.ts'
import { submit } from './submit.ts'

export const job: GroupDeclaration = { name: 'job', verbs: [ls, show, logs, submit, cancel, rerun, explain, artifacts, exportJobs] }
