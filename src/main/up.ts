import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { openFolderJournal } from '../drivers/journals/folder/folder-journal.ts'
import { callJson } from '../drivers/links/http/exchange.ts'
import { createTrust } from '../drivers/links/http/trust.ts'
import { EnrolmentCreated } from '../model/api.ts'
import { runAgent, type RunAgentOptions, type RunningAgent } from './agent.ts'
import { runController, type ControllerOptions, type RunningController } from './controller.ts'

export interface UpOptions extends ControllerOptions {
  /** Settings of the agent of this machine; the rest follows from the controller's. */
  readonly agent?: Partial<Pick<RunAgentOptions, 'allowReboot' | 'bootProbes' | 'engines' | 'health' | 'networkWait' | 'blockedAddresses'>>
}

export interface RunningUp extends RunningController {
  /** Name of this machine in the fleet. */
  readonly hostName: string
}

/**
 * Starts a controller and an agent for this machine in one process. The agent enrols as every other does, through the API, and keeps its identity below
 * the state directory; when it has to start anew (an upgrade was asked for) it does so in this process.
 */
export async function runUp(options: UpOptions): Promise<RunningUp> {
  const controller = await runController({ ...options, handleSignals: false })
  let agent: RunningAgent
  try {
    agent = await startAgent(options, controller)
  } catch (error) {
    await controller.close()
    throw error
  }
  let stopping = false
  const keeping = keepAgent()

  /** The agent of `up` has no service manager that would start it again. */
  async function keepAgent(): Promise<void> {
    const timers = createSystemTimers()
    for (;;) {
      const end = await agent.ended.catch((error: unknown) => error)
      if (stopping) return
      options.log.warn('the agent of this machine ended; it is started again', { end })
      await timers.sleep(1000)
      if (stopping) return
      try {
        agent = await startAgent(options, controller)
      } catch (error) {
        options.log.error('the agent of this machine could not be started; the controller goes on without it', { error })
        return
      }
    }
  }

  async function shutDown(): Promise<void> {
    stopping = true
    await agent.stop()
    await keeping
    await controller.close()
  }
  let closing: Promise<void> | null = null
  function close(): Promise<void> {
    closing ??= shutDown()
    return closing
  }
  if (options.handleSignals !== false) {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void close())
  }
  return { ...controller, hostName: agent.name, close }
}

async function startAgent(options: UpOptions, controller: RunningController): Promise<RunningAgent> {
  const stateDir = join(options.stateDir, 'agent')
  const journal = await openFolderJournal(join(stateDir, 'journal'))
  const isKnown = (await journal.identity()) !== null
  const url = await localUrl(options.stateDir)
  return runAgent({
    ...options.agent,
    stateDir,
    version: options.version,
    log: options.log,
    controllerUrl: url,
    caFingerprint: controller.caFingerprint,
    enrolmentToken: isKnown ? null : await enrolmentToken(url, controller),
    allowPlainHttp: options.insecureHttp ?? false,
    hiddenDirs: [options.stateDir],
  })
}

/** How this machine reaches its own controller. */
async function localUrl(stateDir: string): Promise<string> {
  const file = JSON.parse(await readFile(join(stateDir, 'controller.json'), 'utf8')) as { readonly url: string }
  return file.url
}

/** Asks for a token as a person would, by the admin's own. */
async function enrolmentToken(url: string, controller: RunningController): Promise<string> {
  const admin = (await readFile(controller.tokenFile, 'utf8')).trim()
  const trust = createTrust({ url, caFingerprint: controller.caFingerprint, allowPlainHttp: true })
  try {
    const answer = await callJson(trust, { method: 'POST', path: '/api/v1/enrolments', key: admin, json: {}, limitMs: 10_000 })
    return EnrolmentCreated.parse(answer).token
  } finally {
    trust.close()
  }
}
