import { CideryError } from '../../model/errors.ts'
import { day, minute, second } from '../../model/instant.ts'
import type { OperationRequest } from '../../model/operation.ts'
import { orAborted, withDeadline } from './deadline.ts'
import { isOver, type OperationEnd, type OperationTask, type SandboxVerbs } from './operation.ts'
import { messageOf } from './outcome.ts'
import { outputTail, outputTailBytes } from './output-tail.ts'
import { upgradeAgent, upgradeRefusal } from './upgrade.ts'

/** Output of a command is kept up to this much; then it is cut with a mark. */
const outputLimit = 256 * 1024 ** 2
/** How often somebody who watches gets new output. */
const outputEvery = second
const drainPoll = second

/** Leads an operation from where its record is to its end. Rejects only when the agent stops; the next agent takes it up again. */
export async function carryOutOperation(task: OperationTask): Promise<void> {
  const { stopping } = task.surroundings
  const { request, killAsked } = task.record()
  try {
    if (task.record().state === 'PENDING') {
      if (killAsked) return await task.move('KILLED', { reason: 'killed before it began' })
      await task.move('VALIDATING')
      const problem = refusal(task)
      if (problem !== null) return await task.move('ERROR', { reason: problem })
      await task.move('EXECUTING')
    } else if (task.record().state === 'VALIDATING' || task.record().state === 'BLOCKED') await task.move('EXECUTING')
    const end = await carryOut(task, request)
    const { state, ...change } = end
    if (!isOver(task.record())) await task.move(state, change)
  } catch (error) {
    stopping.throwIfAborted()
    if (isOver(task.record())) return
    const { state, reason } = task.kill.aborted ? killedBeforeTheEnd(task) : { state: 'ERROR' as const, reason: messageOf(error) }
    await task.move(state, { reason })
  }
}

function refusal(task: OperationTask): string | null {
  const { request } = task.record()
  if (request.kind === 'upgradeAgent') return upgradeRefusal(task, request)
  if (request.kind === 'reboot' && task.surroundings.rebootCommand === null) {
    return 'this host may not be rebooted: its agent was started without --allow-reboot'
  }
  return null
}

type SandboxRequest = Extract<OperationRequest, { readonly sandboxId: string }>

async function carryOut(task: OperationTask, request: OperationRequest): Promise<OperationEnd> {
  switch (request.kind) {
    case 'exec':
      return exec(task, request.command)
    case 'restartAgent':
      return restartAgent(task, request.drain)
    case 'reboot':
      return reboot(task)
    case 'upgradeAgent':
      return orRestart(task, await upgradeAgent(task, request))
    case 'probe':
      return probe(task)
    case 'clean':
      return clean(task)
    default:
      // What an engine began cannot be broken off; its late end changes nothing here.
      return { state: 'SUCCESS', reason: await orAborted(changeSandbox(task.surroundings.sandboxes, request), task.kill) }
  }
}

/** Gives in words what was done. */
async function changeSandbox(sandboxes: SandboxVerbs, request: SandboxRequest): Promise<string> {
  const { sandboxId: id } = request
  switch (request.kind) {
    case 'sandboxCreate':
      await sandboxes.create({ id, engine: request.engine, image: request.image, ttlS: request.ttlS })
      return 'created'
    case 'sandboxStart':
      await sandboxes.start(id)
      return 'started'
    case 'sandboxStop':
      await sandboxes.stop(id)
      return 'stopped'
    case 'sandboxReset':
      await sandboxes.reset(id)
      return 'made anew'
    case 'sandboxRemove':
      await sandboxes.remove(id)
      return 'removed'
    case 'sandboxSnapshot':
      await sandboxes.snapshot(id, request.name)
      return 'snapshot taken'
  }
}

/** A command on the host, under a supervisor: it survives this agent, and its exit code is exact. */
async function exec(task: OperationTask, command: readonly string[]): Promise<OperationEnd> {
  const { ports, settings, hostEnvironment, stopping } = task.surroundings
  const { supervisors } = ports
  const { id } = task.record()
  const [program, ...rest] = command
  if (program === undefined) throw new CideryError('INVALID_INPUT', 'the operation has no command')
  if ((await supervisors.inspect(id)).state === 'none') {
    const launch = { argv: [program, ...rest] as const, env: hostEnvironment, cwd: '/' }
    // The operation's own limit can be extended, so it is kept by the agent; the supervisor's is for an agent that never comes back.
    await supervisors.start({ id, launch, timeLimitMs: day, graceMs: settings().operationGraceMs, logLimitBytes: outputLimit })
  }
  function cancel(): void {
    supervisors
      .cancel(id)
      .catch((error: unknown) => ports.log.error('a supervisor did not take a cancel', { operation: id, error: messageOf(error) }))
  }
  if (task.kill.aborted) cancel()
  task.kill.addEventListener('abort', cancel, { once: true })
  const over = new AbortController()
  const showing = showOutput(task, AbortSignal.any([stopping, over.signal]))
  try {
    for (;;) {
      const seen = await supervisors.wait(id, stopping)
      stopping.throwIfAborted()
      if (seen.state === 'running') continue
      const tail = await readTail(task, true)
      if (seen.state !== 'ended') return { state: 'ERROR', reason: `its supervisor is ${seen.state}`, outputTail: tail }
      return endOfExec(task, seen.exit, tail)
    }
  } finally {
    task.kill.removeEventListener('abort', cancel)
    over.abort()
    await showing
  }
}

interface Exit {
  readonly code: number | null
  readonly signal: number | null
  readonly cause: string
  readonly message: string
}

function endOfExec(task: OperationTask, exit: Exit, tail: string): OperationEnd {
  const code = exit.code === null ? {} : { exitCode: exit.code }
  if (exit.cause === 'launchFailed') return { state: 'ERROR', reason: exit.message, outputTail: tail }
  if (exit.cause !== 'exited' && task.kill.aborted) {
    return { ...killedBeforeTheEnd(task), outputTail: tail, ...code }
  }
  if (exit.code === 0) return { state: 'SUCCESS', reason: '', outputTail: tail, exitCode: 0 }
  const reason = exit.code === null ? `ended by signal ${exit.signal ?? 0}` : `exit code ${exit.code}`
  return { state: 'ERROR', reason, outputTail: tail, ...code }
}

async function readTail(task: OperationTask, complete: boolean): Promise<string> {
  const { supervisors } = task.surroundings.ports
  const { id } = task.record()
  const length = await supervisors.logLength(id)
  const from = Math.max(0, length - 2 * outputTailBytes)
  const pieces: Uint8Array[] = []
  for (let at = from; at < length;) {
    const piece = await supervisors.readLog(id, at, length - at)
    if (piece.length === 0) break
    pieces.push(piece)
    at += piece.length
  }
  return outputTail(Buffer.concat(pieces), complete)
}

async function showOutput(task: OperationTask, signal: AbortSignal): Promise<void> {
  const { ports } = task.surroundings
  const { id } = task.record()
  let shown = ''
  try {
    for (;;) {
      const seen = await ports.supervisors.inspect(id)
      const pid = seen.state === 'running' ? seen.pid : task.record().pid
      const tail = await readTail(task, false)
      if (signal.aborted || isOver(task.record())) return
      if (tail !== shown || pid !== task.record().pid) await task.move(task.record().state, { outputTail: tail, pid })
      shown = tail
      await ports.timers.sleep(outputEvery, signal)
    }
  } catch (error) {
    if (!signal.aborted) ports.log.warn('the output of an operation could not be shown', { operation: id, error: messageOf(error) })
  }
}

async function restartAgent(task: OperationTask, drain: boolean): Promise<OperationEnd> {
  const { ports, stopping, liveAttempts, instanceId, onRestart } = task.surroundings
  if (task.record().instanceId !== instanceId) return { state: 'SUCCESS', reason: 'the agent was started anew' }
  const signal = AbortSignal.any([stopping, task.kill])
  try {
    if (drain) while (liveAttempts() > 0) await ports.timers.sleep(drainPoll, signal)
  } catch {
    stopping.throwIfAborted()
    return killedBeforeTheEnd(task)
  }
  await task.move('AWAITING_RECONNECT', { reason: 'the agent restarts' })
  await task.heard()
  onRestart()
  return waitForTheEnd(task)
}

/** The controller's own hard limit comes as a kill too, a little before or after ours. */
const limitTolerance = 15 * second

function killedBeforeTheEnd(task: OperationTask): OperationEnd {
  const { killAsked, startedAt, hardMs } = task.record()
  const age = task.surroundings.ports.clock.now() - startedAt
  const inTime = killAsked && age < hardMs - limitTolerance
  return inTime ? { state: 'KILLED', reason: 'killed' } : { state: 'TIMEOUT', reason: 'it took longer than its hard limit' }
}

async function orRestart(task: OperationTask, step: OperationEnd | 'restart'): Promise<OperationEnd> {
  if (step !== 'restart') return step
  task.surroundings.onRestart()
  return waitForTheEnd(task)
}

/** The next agent says how it went. */
async function waitForTheEnd(task: OperationTask): Promise<never> {
  const { ports, stopping } = task.surroundings
  for (;;) await ports.timers.sleep(minute, stopping)
}

async function reboot(task: OperationTask): Promise<OperationEnd> {
  const { ports, bootId, rebootCommand, hostEnvironment } = task.surroundings
  const { record } = task
  if (record().bootId !== bootId) return { state: 'SUCCESS', reason: 'the host was started anew' }
  if (record().state === 'AWAITING_RECONNECT') return { state: 'ERROR', reason: 'the agent was started anew, but the host was not' }
  if (rebootCommand === null) return { state: 'ERROR', reason: 'this host may not be rebooted' }
  await task.move('AWAITING_RECONNECT', { reason: `runs ${rebootCommand.join(' ')}` })
  await task.heard()
  const started = await ports.processes.start({ argv: rebootCommand, env: hostEnvironment, cwd: '/' }, { mergeErrors: true })
  const pieces: Uint8Array[] = []
  for await (const piece of started.output) if (pieces.length < 100) pieces.push(piece)
  const { code } = await started.ended
  const tail = outputTail(Buffer.concat(pieces), true)
  if (code !== 0) return { state: 'ERROR', reason: `${rebootCommand.join(' ')} ended with ${code ?? 'a signal'}`, outputTail: tail }
  return waitForTheEnd(task)
}

async function probe(task: OperationTask): Promise<OperationEnd> {
  const { ok, lines } = await orAborted(task.surroundings.proveAll(), task.kill)
  return {
    state: ok ? 'SUCCESS' : 'ERROR',
    reason: ok ? 'every engine boots' : 'an engine does not boot',
    outputTail: `${lines.join('\n')}\n`,
  }
}

async function clean(task: OperationTask): Promise<OperationEnd> {
  const { ports, owners } = task.surroundings
  const lines: string[] = []
  let failures = 0
  for (const engine of ports.engines.values()) {
    const sweeping = engine.sweep(owners())
    const report = await withDeadline(ports.timers, sweeping, { ms: 10 * minute, what: `sweeping ${engine.name}` })
    const { sandboxes, accounts, processes, bytes } = report
    lines.push(`${engine.name}: removed ${sandboxes.length} sandboxes, ${accounts.length} accounts, ${processes} processes, ${bytes} bytes`)
    for (const failure of report.failures) lines.push(`${engine.name}: ${failure}`)
    failures += report.failures.length
  }
  const reason = failures === 0 ? 'clean' : `${failures} things could not be removed`
  return { state: failures === 0 ? 'SUCCESS' : 'PARTIAL', reason, outputTail: `${lines.join('\n')}\n` }
}
