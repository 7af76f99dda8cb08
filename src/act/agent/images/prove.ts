import { CideryError } from '../../../model/errors.ts'
import type { StoredImage } from '../../../model/image/stored.ts'
import { judgeFlakiness, type FlakinessVerdict, type ImageCheck } from '../../../model/image/validation.ts'
import { messageOf } from '../outcome.ts'
import type { Build } from './build-request.ts'
import { checkProblem, validate, validationSteps } from './checks.ts'
import type { Guest } from './command.ts'
import { withGuest, type GuestWanted } from './guest.ts'

/**
 * The second look: boots the sealed build fresh and runs all checks again, then those that may be flaky, each round in a sandbox of its own. What the second
 * look finds fails the build; flaky checks are only told, in the verdict. Null when there is nothing that could be flaky.
 */
export async function proveBuild(build: Build, image: StoredImage): Promise<FlakinessVerdict | null> {
  const { request, progress, log } = build
  const { recipe } = request
  const { flakiness, validation } = recipe
  const checks = flakiness.checks ?? validation.checks
  const rounds = checks.length === 0 ? 1 : flakiness.rounds
  progress.begin('prove', { total: validationSteps(recipe) + rounds * checks.length })
  const results: ReadonlyMap<string, boolean>[] = []
  for (let round = 1; round <= rounds; round += 1) {
    log.line(`second look: round ${round} of ${rounds}`)
    const looks = round === 1 ? [...checks, ...validation.checks] : checks
    const result = await withGuest(build, wantedFor(image, looks), async (guest) => {
      if (round === 1) await validate(guest, recipe, (name) => look(build, name))
      return runRound(build, guest, checks)
    }).catch((error: unknown) => failedRound(build, round, error))
    results.push(result)
  }
  return checks.length === 0 ? null : judgeFlakiness(flakiness, results)
}

function look({ progress }: Build, name: string): void {
  progress.at(name)
  progress.stepDone()
}

/** As a job gets it, unless a check has to be root's: no sandbox of a job lets anybody be root. */
function wantedFor({ id }: StoredImage, checks: readonly ImageCheck[]): GuestWanted {
  const needsRoot = checks.some((check) => check.as === 'root')
  return { from: needsRoot ? { image: null, builder: { image: id } } : { image: id }, network: 'none' }
}

async function runRound(build: Build, guest: Guest, checks: readonly ImageCheck[]): Promise<ReadonlyMap<string, boolean>> {
  const result = new Map<string, boolean>()
  for (const check of checks) {
    const problem = await checkProblem(guest, check)
    if (problem !== null) build.log.line(problem)
    result.set(check.name, problem === null)
    look(build, check.name)
  }
  return result
}

/** The first round is the second look itself; a later one that never got a sandbox counts as failed. */
function failedRound({ log, signal }: Build, round: number, error: unknown): ReadonlyMap<string, boolean> {
  signal.throwIfAborted()
  if (round === 1) throw new CideryError('ENGINE_FAILED', `the build did not pass its second look: ${messageOf(error)}`, { cause: error })
  log.line(`round ${round} failed: ${messageOf(error)}`)
  return new Map()
}
