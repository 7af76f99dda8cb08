/** A program that the system keeps running. All paths are absolute; no word may be a secret, since everybody can read a service file. */
export interface ServiceDefinition {
  /** `cidery-agent`. */
  readonly name: string
  readonly description: string
  readonly argv: readonly [string, ...string[]]
  readonly environment: Readonly<Record<string, string>>
  /** Account it runs as; null: the system's own (root). */
  readonly user: string | null
  /** Where its output goes on systems that do not collect it. */
  readonly logFile: string
  /** It needs the desktop session of its user (macOS virtual machines do). */
  readonly desktopSession: boolean
  /** Seconds between its end and its next start. */
  readonly throttleS: number
  /** Exit codes that are an ordinary end. */
  readonly ordinaryExits: readonly number[]
}

export interface ServiceFile {
  readonly path: string
  readonly content: string
}

/** The system's own keeper of services: systemd or launchd. */
export interface ServiceManager {
  readonly kind: 'systemd' | 'launchd'
  /** The file that makes the service, as it would be written. */
  file(service: ServiceDefinition): ServiceFile
  /** Writes the file and starts the service, now and at each boot. Idempotent: a changed file replaces the old one. Gives the commands that ran. */
  install(service: ServiceDefinition): Promise<readonly string[]>
  /** Stops the service, waits until it is gone, and removes its file. Idempotent. */
  uninstall(service: ServiceDefinition): Promise<readonly string[]>
  /** What the system's own checker says of a file; an empty list when it is right. */
  check(file: ServiceFile): Promise<readonly string[]>
  isRunning(service: ServiceDefinition): Promise<boolean>
}
