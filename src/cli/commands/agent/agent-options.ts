import { join, resolve } from 'node:path'
import type { AgentServiceOptions } from '../../../main/agent-service.ts'
import type { AgentCommand } from '../../../main/cli-processes.ts'
import type { Cli } from '../../cli.ts'
import type { OptionDeclaration } from '../../declare.ts'
import { durationOption } from '../../values.ts'
import { logOptions, readLogOptions } from '../controller-options.ts'
import type { LogOptions } from '../controller-options.ts'

/** Options of `agent run` and `agent enrol`. */
export interface AgentOptions extends LogOptions {
  readonly state?: string
  readonly url?: string
  readonly caSha256?: string
  readonly tokenFile?: string
  readonly allowPlainHttp?: boolean
  readonly allowReboot?: boolean
  readonly health?: string
  readonly waitForLock?: string
}

const stateOption: OptionDeclaration = {
  flags: '--state <directory>',
  about: 'directory of this host identity (CIDERY_AGENT_STATE)',
  completes: 'directory',
}

/** Options that say where the controller is; the address itself is an option of every command. */
const controllerOptions: readonly OptionDeclaration[] = [
  { flags: '--ca-sha256 <fingerprint>', about: 'SHA-256 of the CA of the controller' },
  { flags: '--allow-plain-http', about: 'plain HTTP to another machine, for development only' },
]

export const agentOptions: readonly OptionDeclaration[] = [
  stateOption,
  ...controllerOptions,
  { flags: '--token-file <file>', about: 'file with the enrolment token (default: CIDERY_ENROL_TOKEN)', completes: 'file' },
  { flags: '--health <address>', about: 'HOST:PORT to serve /health on' },
  { flags: '--allow-reboot', about: 'let cidery host reboot restart this machine' },
  { flags: '--wait-for-lock <duration>', about: 'wait so long for another agent of this identity to end (default: not at all)' },
  ...logOptions,
]

/** The agent's own directory: beside the one of `cidery up`, or below it. */
export function agentStateDirectory(cli: Cli, named: string | undefined): string {
  const chosen = named ?? (cli.env['CIDERY_AGENT_STATE'] || undefined)
  if (chosen !== undefined) return resolve(cli.cwd, chosen)
  if (cli.uid === 0) return '/var/lib/cidery/agent'
  return join(cli.env['XDG_STATE_HOME'] || join(cli.home, '.local', 'state'), 'cidery', 'agent')
}

export function readAgentOptions(cli: Cli, options: AgentOptions): AgentCommand {
  return {
    stateDir: agentStateDirectory(cli, options.state),
    version: cli.version,
    log: readLogOptions(options),
    url: cli.settings.url,
    caFingerprint: options.caSha256,
    tokenFile: options.tokenFile === undefined ? undefined : resolve(cli.cwd, options.tokenFile),
    allowPlainHttp: options.allowPlainHttp === true,
    allowReboot: options.allowReboot === true,
    health: options.health,
    lockWaitMs: durationOption('--wait-for-lock', options.waitForLock) ?? 0,
  }
}

/** Options of `agent install`, `uninstall`, `verify` and `status`. */
export interface ServiceOptions {
  readonly state?: string
  readonly user?: string
  readonly desktop?: boolean
  readonly health?: string
  readonly allowReboot?: boolean
}

export const serviceOptions: readonly OptionDeclaration[] = [
  stateOption,
  { flags: '--user <account>', about: 'account that it runs as (default: root)' },
  { flags: '--desktop', about: 'in the desktop session of this account, as macOS VMs need it' },
  { flags: '--health <address>', about: 'HOST:PORT that it serves /health on' },
  { flags: '--allow-reboot', about: 'let cidery host reboot restart this machine' },
]

export function readServiceOptions(cli: Cli, options: ServiceOptions): AgentServiceOptions & { readonly healthUrl: string | null } {
  return {
    stateDir: agentStateDirectory(cli, options.state),
    words: [
      ...(options.health === undefined ? [] : ['--health', options.health]),
      ...(options.allowReboot === true ? ['--allow-reboot'] : []),
    ],
    user: options.user ?? null,
    desktopSession: options.desktop === true,
    environment: {},
    healthUrl: options.health === undefined ? null : `http://${options.health}/health`,
  }
}
