import type { GroupDeclaration } from '../../declare.ts'
import { add } from './add.ts'
import { clean } from './clean.ts'
import { cordon } from './cordon.ts'
import { drain } from './drain.ts'
import { exec } from './exec.ts'
import { ls } from './ls.ts'
import { probe } from './probe.ts'
import { reboot } from './reboot.ts'
import { retire } from './retire.ts'
import { rotateKey } from './rotate-key.ts'
import { show } from './show.ts'
import { uncordon } from './uncordon.ts'

export const host: GroupDeclaration = {
  name: 'host',
  verbs: [ls, show, add, cordon, uncordon, drain, rotateKey, retire, exec, probe, clean, reboot],
}
