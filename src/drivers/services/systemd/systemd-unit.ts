import type { ServiceDefinition } from '../../../ports/services.ts'

/** A word as `ExecStart=` reads it: quoted, with its own escapes for specifiers and variables. */
function word(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[A-Za-z0-9_./:=@%,+-]+$/.test(text) ? escaped : `"${escaped}"`
}

/** In `Environment=` a dollar sign is only itself. */
function assignment(name: string, value: string): string {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('%', '%%')
  return `Environment="${name}=${escaped}"`
}

/** The unit file of a service. */
export function systemdUnit(service: ServiceDefinition): string {
  const lines = [
    '[Unit]',
    `Description=${service.description.replaceAll('%', '%%').replaceAll('\n', ' ')}`,
    // The agent waits for its controller by itself; this only spares it the first tries.
    'Wants=network-online.target',
    'After=network-online.target',
    // It is started again for ever: a host that gave up would need a person.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${service.argv.map(word).join(' ')}`,
    ...Object.entries(service.environment).map(([name, value]) => assignment(name, value)),
    ...(service.user === null ? [] : [`User=${service.user}`]),
    'WorkingDirectory=/',
    'UMask=0077',
    'Restart=always',
    `RestartSec=${service.throttleS}`,
    ...(service.ordinaryExits.length === 0 ? [] : [`SuccessExitStatus=${service.ordinaryExits.join(' ')}`]),
    // Only the agent ends; jobs go on under their supervisors, and the next agent takes them over.
    'KillMode=process',
    'TimeoutStopSec=30',
    // A job that runs out of memory is the job's affair.
    'OOMPolicy=continue',
    'OOMScoreAdjust=-500',
    'TasksMax=infinity',
    'LimitNOFILE=65536',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ]
  return `${lines.join('\n')}\n`
}
