import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createLog } from '../drivers/logs/log.ts'
import { writeToStderr } from '../drivers/logs/stderr.ts'
import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { Log } from '../ports/log.ts'
import { beginAsTrial, leadTrial } from './agent-trial.ts'
import { agentExitCode, runAgent } from './agent.ts'
import type { RunAgentOptions } from './agent.ts'
import { parseListen } from './controller-options.ts'
import type { RunningController, TlsFiles } from './controller-options.ts'
import { chooseStore } from './controller-store.ts'
import { runController } from './controller.ts'
import { runUp } from './up.ts'

/** What `--log-format` and `--log-level` say. */
export interface LogSettings {
  readonly format: 'text' | 'json'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
}

export interface ControllerCommand {
  readonly stateDir: string
  /** `HOST:PORT`. */
  readonly listen: string
  readonly version: string
  readonly log: LogSettings
  readonly specFile: string | undefined
  readonly store: string | undefined
  readonly blobsDir: string | undefined
  readonly publicUrl: string | undefined
  readonly names: readonly string[]
  readonly tls: TlsFiles | undefined
  readonly insecureHttp: boolean
}

function logOf(settings: LogSettings): Log {
  return createLog({ clock: createSystemClock(), write: writeToStderr, ...settings })
}

/** The built dashboard, in a checkout and in the published package alike; null before it is built. */
function dashboardFolder(): string | null {
  const folder = fileURLToPath(new URL('../../web/dist', import.meta.url))
  return existsSync(join(folder, 'index.html')) ? folder : null
}

function controllerOptions(command: ControllerCommand) {
  const listen = parseListen(command.listen)
  if (listen === undefined)
    throw new CideryError('INVALID_INPUT', `--listen '${command.listen}' is no address`, { hint: 'HOST:PORT, for example 127.0.0.1:7700' })
  return {
    listen,
    stateDir: command.stateDir,
    version: command.version,
    log: logOf(command.log),
    store: chooseStore(command.store, process.env),
    specFile: command.specFile ?? null,
    blobsDir: command.blobsDir ?? null,
    publicUrl: command.publicUrl ?? null,
    names: command.names,
    tls: command.tls ?? null,
    insecureHttp: command.insecureHttp,
    webRoot: dashboardFolder(),
  }
}

/** Runs a controller until a signal ends it. `ready` is called once it answers. */
export async function controllerCommand(
  command: ControllerCommand,
  ready: (controller: RunningController) => Promise<void>,
): Promise<void> {
  const controller = await runController(controllerOptions(command))
  await ready(controller)
  await controller.ended
}

/** Runs a controller and an agent for this machine until a signal ends both. */
export async function upCommand(
  command: ControllerCommand,
  ready: (up: RunningController & { readonly hostName: string }) => Promise<void>,
): Promise<void> {
  const up = await runUp(controllerOptions(command))
  await ready(up)
  await up.ended
}

export interface AgentCommand {
  readonly stateDir: string
  readonly version: string
  readonly log: LogSettings
  readonly url: string | undefined
  readonly caFingerprint: string | undefined
  /** File with the enrolment token; otherwise it is CIDERY_ENROL_TOKEN. */
  readonly tokenFile: string | undefined
  readonly allowPlainHttp: boolean
  readonly allowReboot: boolean
  /** `HOST:PORT`. */
  readonly health: string | undefined
  readonly lockWaitMs: Milliseconds
}

/** Runs an agent until a signal or the agent itself ends it; resolves with the exit code of the process. */
export async function agentCommand(command: AgentCommand): Promise<number> {
  const options = await agentOptions(command)
  const trial = { stateDir: command.stateDir, words: process.argv.slice(2), log: options.log }
  const inTrial = await beginAsTrial(command.stateDir)
  // A trial that a killed process led goes on here.
  const led = inTrial ? null : await leadTrial(trial)
  if (led !== null) return led
  const agent = await runAgent({ ...options, alone: true, inTrial })
  const stop = () => void agent.stop()
  process.once('SIGTERM', stop).once('SIGINT', stop)
  const end = await agent.ended
  const code = end === 'restart' && !inTrial ? await leadTrial(trial) : null
  return code ?? agentExitCode(end)
}

/** Brings this host into the fleet and leaves: the agent is then started by its service. Resolves with the name of the host. */
export async function enrolCommand(command: AgentCommand): Promise<string> {
  const agent = await runAgent({ ...(await agentOptions(command)), bootProbes: false, health: null })
  await agent.stop()
  return agent.name
}

async function agentOptions(command: AgentCommand): Promise<RunAgentOptions> {
  const health = command.health === undefined ? undefined : parseListen(command.health)
  if (command.health !== undefined && health === undefined)
    throw new CideryError('INVALID_INPUT', `--health '${command.health}' is no address`, { hint: 'HOST:PORT, for example 127.0.0.1:8080' })
  return {
    ...(health === undefined ? {} : { health }),
    ...(command.allowReboot ? { allowReboot: true } : {}),
    lockWaitMs: command.lockWaitMs,
    stateDir: command.stateDir,
    version: command.version,
    log: logOf(command.log),
    controllerUrl: command.url ?? null,
    caFingerprint: command.caFingerprint ?? null,
    enrolmentToken: await enrolmentToken(command.tokenFile),
    allowPlainHttp: command.allowPlainHttp,
  }
}

async function enrolmentToken(file: string | undefined): Promise<string | null> {
  if (file === undefined) return process.env['CIDERY_ENROL_TOKEN'] ?? null
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw new CideryError('INVALID_INPUT', `the token file ${file} cannot be read`, { cause })
  }
}
