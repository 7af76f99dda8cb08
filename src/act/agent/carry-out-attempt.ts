import { CideryError } from '../../model/errors.ts'
import { hour, minute, second } from '../../model/instant.ts'
import type { AttemptState, Outcome } from '../../model/job.ts'
import type { Engine, EngineSandbox } from '../../ports/engine.ts'
import type { Supervision } from '../../ports/supervisors.ts'
import type { Attempt } from './attempt.ts'
import { collectArtifacts } from './collect.ts'
import { isPassing, orAborted, patiently, withDeadline } from './deadline.ts'
import { transferPatience } from './download.ts'
import { jobEnvironment, launchProblem, scriptWords } from './environment.ts'
import type { Inside } from './inside.ts'
import { infrastructure, messageOf, outcomeOf, rebootOutcome, setupFailed, stopOutcome } from './outcome.ts'
import { deliverFiles, deliverScript, deliverSecrets, deliverSource, scriptPath, type SourceDelivery } from './source.ts'

/** How long an engine may take over one call before it counts as wedged. */
const bootLimit = 15 * minute
const cleanLimit = 5 * minute
const collectLimit = 2 * hour
const cleanTries = 3
const cleanPause = 2 * second

/**
 * Leads an attempt from the state that its record is in to its end: boot, prepare, run, collect, clean. Each phase can be repeated after
 * a crash at any point. Rejects only when the agent stops; the next agent goes on from the journal.
 */
export async function carryOutAttempt(attempt: Attempt): Promise<void> {
  const { stopping } = attempt.around
  for (let { state } = attempt.record(); state !== 'ended'; { state } = attempt.record()) {
    stopping.throwIfAborted()
    await attempt.enter(await orAborted(phase(attempt, state), stopping))
  }
}

async function phase(attempt: Attempt, state: Exclude<AttemptState, 'ended'>): Promise<AttemptState> {
  try {
    return await phases[state](attempt)
  } catch (error) {
    attempt.around.stopping.throwIfAborted()
    await attempt.decide(stopOutcome(attempt.record()) ?? infrastructure('agent', error))
    return state === 'cleaning' ? 'ended' : 'cleaning'
  }
}

const phases = {
  assigned: async (attempt) => (attempt.stop.aborted ? 'cleaning' : 'booting'),
  booting: boot,
  preparing: prepare,
  running: run,
  collecting: collect,
  cleaning: clean,
} satisfies Record<Exclude<AttemptState, 'ended'>, (attempt: Attempt) => Promise<AttemptState>>

async function fail(attempt: Attempt, outcome: Outcome): Promise<'cleaning'> {
  await attempt.decide(stopOutcome(attempt.record()) ?? outcome)
  return 'cleaning'
}

function engineOf(attempt: Attempt): Engine {
  const { job } = attempt.record()
  const engine = attempt.around.ports.engines.get(job.engine)
  if (engine === undefined) throw new CideryError('UNSUPPORTED', `this host has no engine ${job.engine}`)
  return engine
}

async function boot(attempt: Attempt): Promise<AttemptState> {
  const { around } = attempt
  const { timers, clock } = around.ports
  const { id, jobId, job } = attempt.record()
  await around.roomToBoot(job.engine, AbortSignal.any([attempt.stop, around.stopping])).catch(() => {
    // Told to stop, which is looked at next.
  })
  around.stopping.throwIfAborted()
  if (attempt.stop.aborted) return 'cleaning'
  try {
    const engine = engineOf(attempt)
    const limits = around.settings().engines[job.engine]?.limits ?? 'enforced'
    const { image, shape, network } = job
    const { blockedAddresses } = around
    const { source } = job.spec
    const mount = source.kind === 'mount' ? source.path : null
    const making = engine.create({ id, jobId, image, shape, limits, network, blockedAddresses, mount })
    await withDeadline(timers, making, { ms: bootLimit, what: 'making the sandbox' })
    const sandbox = await withDeadline(timers, engine.start(id), { ms: bootLimit, what: 'booting the sandbox' })
    around.onBoot(job.engine, image, { ok: true, at: clock.now(), reason: 'a job booted' })
    await keepSandbox(attempt, sandbox)
    return 'preparing'
  } catch (error) {
    around.stopping.throwIfAborted()
    // What the job asked for is not there: nothing is wrong with this host, nor would another try help.
    if (error instanceof CideryError && error.code === 'MOUNT_REFUSED') return fail(attempt, setupFailed('source', withHint(error)))
    around.onBoot(job.engine, job.image, { ok: false, at: clock.now(), reason: messageOf(error).slice(0, 500) })
    return fail(attempt, infrastructure('boot', error))
  }
}

/** The cure is part of what people are told. */
function withHint(error: CideryError): Error {
  return new Error(error.hint === undefined ? error.message : `${error.message} (${error.hint})`)
}

async function keepSandbox(attempt: Attempt, sandbox: EngineSandbox): Promise<void> {
  const { paths, user, mounted, isolation, notes } = sandbox
  await attempt.update({ sandbox: { paths, user, mounted }, isolation, notes: [...new Set([...attempt.record().notes, ...notes])] })
}

function delivery(attempt: Attempt, signal: AbortSignal): SourceDelivery {
  const { ports } = attempt.around
  const { id, job, sandbox } = attempt.record()
  if (sandbox === null) throw new CideryError('INTERNAL', 'the attempt has no sandbox')
  const inside: Inside = { ports, engine: engineOf(attempt), id, signal }
  return { ports, inside, paths: sandbox.paths, job }
}

/** Steps whose failure is the job's own when the same would happen everywhere, and the infrastructure's when it would not. */
async function prepare(attempt: Attempt): Promise<AttemptState> {
  const { around } = attempt
  const signal = AbortSignal.any([attempt.stop, around.stopping])
  let step = 'secrets'
  try {
    const parts = delivery(attempt, signal)
    const secrets = await patiently({ ...around.ports, signal, limitMs: transferPatience }, () => attempt.secrets())
    await deliverSecrets(parts, secrets)
    step = 'source'
    await deliverSource(parts)
    await attempt.update({ times: { ...attempt.record().times, sourceReady: Math.round(around.correctedNow()) } })
    step = 'files'
    await deliverFiles(parts)
    step = 'script'
    await deliverScript(parts)
    return 'running'
  } catch (error) {
    around.stopping.throwIfAborted()
    return fail(attempt, isPassing(error) && !isOwnFault(error) ? infrastructure('source', error) : setupFailed(step, error))
  }
}

/** A `tar` or `mkdir` that fails inside fails over what the job brought. */
function isOwnFault(error: unknown): boolean {
  return error instanceof CideryError && error.code === 'ENGINE_FAILED'
}

async function startCommand(attempt: Attempt): Promise<Outcome | null> {
  const { around } = attempt
  const { id, jobId, job, number, queue } = attempt.record()
  const { paths } = delivery(attempt, attempt.stop)
  const sandbox = attempt.record().sandbox ?? { paths, user: '', mounted: null }
  const env = jobEnvironment(sandbox, { jobId, number, queue, env: job.spec.env }, around.os)
  const { script, command } = job.spec
  const argv = script === undefined ? command : scriptWords(script, scriptPath(paths))
  const [first, ...rest] = argv ?? []
  if (first === undefined) return setupFailed('command', 'the job has neither command nor script')
  const problem = launchProblem([first, ...rest], env, around.os)
  if (problem !== null) return setupFailed('command', problem)
  const launch = await engineOf(attempt).command(id, { argv: [first, ...rest], env, cwd: paths.work })
  const timeLimitMs = job.timeoutS * second
  await around.ports.supervisors.start({ id, launch, timeLimitMs, graceMs: around.settings().cancelGraceMs, logLimitBytes: job.logBytes })
  return null
}

async function run(attempt: Attempt): Promise<AttemptState> {
  const { around } = attempt
  const { supervisors } = around.ports
  const { id } = attempt.record()
  const before = await supervisors.inspect(id)
  if (before.state === 'none') {
    if (attempt.stop.aborted) return 'cleaning'
    try {
      const refused = await startCommand(attempt)
      if (refused !== null) return await fail(attempt, refused)
    } catch (error) {
      around.stopping.throwIfAborted()
      return fail(attempt, infrastructure('supervisor', error))
    }
  }
  const ended = await waitForEnd(attempt)
  const outcome = (await lostSandbox(attempt, ended)) ?? outcomeOf(ended, attempt.record())
  await attempt.update({ logBytes: await supervisors.logLength(id), outcome })
  if (ended.state === 'ended' && ended.exit.logCut) await attempt.note(`the log was cut after ${ended.exit.logBytes} bytes, its limit`)
  return attempt.record().leaseEnded || ended.state !== 'ended' ? 'cleaning' : 'collecting'
}

/** A command that ended by itself while its machine or account went did not end as the job wanted, whatever its code says. */
async function lostSandbox(attempt: Attempt, ended: Supervision): Promise<Outcome | null> {
  if (ended.state !== 'ended' || ended.exit.cause !== 'exited') return null
  const { id } = attempt.record()
  const sandbox = (await engineOf(attempt).list()).find((sandbox) => sandbox.id === id)
  if (sandbox?.state === 'running') return null
  const state = sandbox === undefined ? 'gone' : sandbox.state
  return infrastructure('boot', new CideryError('UNAVAILABLE', `the sandbox is ${state} where it should run until the command has ended`))
}

async function waitForEnd(attempt: Attempt): Promise<Supervision> {
  const { ports, stopping } = attempt.around
  const { supervisors } = ports
  const { id } = attempt.record()
  function cancel(): void {
    supervisors
      .cancel(id)
      .catch((error: unknown) => ports.log.error('a supervisor did not take a cancel', { attempt: id, error: messageOf(error) }))
  }
  if (attempt.stop.aborted) cancel()
  attempt.stop.addEventListener('abort', cancel, { once: true })
  try {
    for (;;) {
      const seen = await supervisors.wait(id, stopping)
      stopping.throwIfAborted()
      if (seen.state !== 'running') return seen
    }
  } finally {
    attempt.stop.removeEventListener('abort', cancel)
  }
}

/** Also after a failed, timed-out or cancelled command; only the end of the lease, when nothing could be sent, skips it. */
async function collect(attempt: Attempt): Promise<AttemptState> {
  const { around } = attempt
  const { job, cancelBy } = attempt.record()
  if (job.spec.artifacts.length === 0) return 'cleaning'
  // A cancel that came before the command ended does not keep its files back; one that comes now does.
  const signal = AbortSignal.any(cancelBy === null ? [attempt.stop, around.stopping] : [around.stopping])
  const { ports, inside, paths } = delivery(attempt, signal)
  try {
    const collecting = collectArtifacts({ ports, inside, paths, patterns: job.spec.artifacts, limitBytes: around.settings().artifactBytes })
    const { artifacts, failures } = await withDeadline(ports.timers, collecting, { ms: collectLimit, what: 'collecting the artifacts' })
    await attempt.update({ artifacts: [...artifacts], artifactFailures: [...failures] })
  } catch (error) {
    around.stopping.throwIfAborted()
    const reason = messageOf(error).slice(0, 500)
    await attempt.update({ artifactFailures: job.spec.artifacts.map((pattern) => ({ pattern, reason })) })
  }
  return 'cleaning'
}

async function clean(attempt: Attempt): Promise<AttemptState> {
  const { around } = attempt
  const { id, job } = attempt.record()
  await attempt.decide(
    stopOutcome(attempt.record()) ?? infrastructure('agent', new CideryError('INTERNAL', 'the attempt ended without an outcome')),
  )
  const engine = around.ports.engines.get(job.engine)
  if (engine === undefined) return 'ended'
  for (let tried = 1; ; tried += 1) {
    try {
      await removeSandbox(attempt, engine)
      return 'ended'
    } catch (error) {
      around.stopping.throwIfAborted()
      const residue = error instanceof CideryError && error.code === 'SANDBOX_RESIDUE'
      if (residue || tried >= cleanTries) {
        const problem = messageOf(error)
        await attempt.note(`clean-up of the sandbox failed: ${problem}`)
        await around.onResidue({ id, engine: job.engine, problem })
        return 'ended'
      }
      await around.ports.timers.sleep(cleanPause, around.stopping)
    }
  }
}

async function removeSandbox(attempt: Attempt, engine: Engine): Promise<void> {
  const { ports, settings } = attempt.around
  const { id } = attempt.record()
  const stop = engine.stop(id, settings().sweepGraceMs)
  await withDeadline(ports.timers, stop, { ms: cleanLimit, what: 'ending the processes of the sandbox' })
  await withDeadline(ports.timers, engine.destroy(id), { ms: cleanLimit, what: 'removing the sandbox' })
}

/**
 * Prepares an attempt that an earlier agent left in the journal to be carried on. After a restart of the machine only an exit record that was
 * already written counts; what had no end by then is an infrastructure failure.
 */
export async function adoptAttempt(attempt: Attempt): Promise<void> {
  const { state, id, contact } = attempt.record()
  if (state === 'ended' || state === 'cleaning' || contact.bootId === attempt.around.bootId) return
  const seen = await attempt.around.ports.supervisors.inspect(id)
  const silentMs = attempt.around.ports.clock.now() - contact.wall
  await attempt.decide(seen.state === 'ended' ? outcomeOf(seen, attempt.record()) : rebootOutcome(silentMs))
  if (attempt.record().job.spec.artifacts.length > 0) {
    const reason = 'the host restarted before the files were collected'
    await attempt.update({ artifactFailures: attempt.record().job.spec.artifacts.map((pattern) => ({ pattern, reason })) })
  }
  await attempt.enter('cleaning')
}
