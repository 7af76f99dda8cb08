import type { Engine } from '../../ports/engine.ts'
import type { Log } from '../../ports/log.ts'
import type { Registry } from '../../ports/registry.ts'

/** What every engine gets from the agent that owns it. */
export interface EngineSettings {
  /** A directory of the engine's own (made 0700 when it is not there); keeps records of sandboxes across restarts. */
  readonly stateDir: string
  /** Directories that no job may see: the agent's and the controller's state. */
  readonly hiddenDirs?: readonly string[]
  /** Sandboxes at once; default: the engine's own choice for this machine. */
  readonly slots?: number
  /** Where an engine writes down what it asks other programs for. */
  readonly log?: Log
  /** Where an engine with images brings them from and sends them to. */
  readonly registry?: Registry
}

/** Makes an engine. Cheap: nothing is touched before the first call. */
export type MakeEngine = (settings: EngineSettings) => Engine
