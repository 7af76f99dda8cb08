import { CideryError } from '../../model/errors.ts'
import type { AgentRelease } from '../../model/release.ts'
import type { Releases } from '../../ports/releases.ts'

/** The program of an agent that no upgrade can replace: it says what it is, and why not. */
export function fixedRelease(release: AgentRelease, refusal: string): Releases {
  function refuse(): Promise<never> {
    return Promise.reject(new CideryError('UNSUPPORTED', refusal))
  }
  return {
    describe: () => release,
    refusal,
    upgrade: () => Promise.resolve(null),
    stage: refuse,
    check: refuse,
    begin: refuse,
    confirm: refuse,
    prune: () => Promise.resolve([]),
  }
}
