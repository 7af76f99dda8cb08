import type { HostImages } from '../../../main/host-images.ts'
import type { Cli } from '../../cli.ts'
import type { OptionDeclaration } from '../../declare.ts'
import { UsageError } from '../../usage-error.ts'
import { agentStateDirectory } from '../agent/agent-options.ts'

/** Options of verbs that work on the images of this host. */
export interface LocalOptions {
  readonly local?: boolean
  readonly state?: string
  readonly engine?: string
}

export const localOptions: readonly OptionDeclaration[] = [
  { flags: '--local', about: 'on this host, without a controller' },
  { flags: '--state <directory>', about: "directory of this host's agent (CIDERY_AGENT_STATE)", completes: 'directory' },
  { flags: '--engine <name>', about: 'only the images of this engine: qemu or tart', completes: ['qemu', 'tart'] },
]

/** What a verb does without `--local` is another thing: nothing is done on this host that was meant for a fleet. */
export function requireLocal({ local }: LocalOptions, example: string): void {
  if (local !== true) throw new UsageError('this verb works on the images of this host; --local says that it is meant', example)
}

/** A signal that Ctrl-C aborts, and how to stop listening. */
export function interruptOf(cli: Cli): { readonly signal: AbortSignal; stop(): void } {
  const control = new AbortController()
  const stop = cli.onInterrupt(() => control.abort(new UsageError('interrupted')))
  return { signal: control.signal, stop }
}

/** Opens the images of this host for `work`, and closes them. `exclusive` when something is changed. */
export async function withHostImages<T>(
  cli: Cli,
  { state, engine, exclusive }: Pick<LocalOptions, 'state' | 'engine'> & { readonly exclusive: boolean },
  work: (host: HostImages, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { openHostImages } = await import('../../../main/host-images.ts')
  const interrupt = interruptOf(cli)
  const host = await openHostImages({ stateDir: agentStateDirectory(cli, state), engine, exclusive })
  try {
    return await work(host, interrupt.signal)
  } finally {
    interrupt.stop()
    await host.close()
  }
}
