/** An error of Tart's own: its text goes to stderr bare, and it has an exit code. */
export class RuntimeFailure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A command line that cannot be understood, or arguments that do not go together: `Error: …`, usage, exit code 64. */
export class ValidationFailure extends Error {}

export function noSuchVm(name: string): RuntimeFailure {
  return new RuntimeFailure(`the specified VM "${name}" does not exist`, 2)
}

export function notRunning(name: string): RuntimeFailure {
  return new RuntimeFailure(`VM "${name}" is not running`, 2)
}

export function alreadyRunning(name: string): RuntimeFailure {
  return new RuntimeFailure(`VM "${name}" is already running!`, 2)
}

export function isRunning(name: string): RuntimeFailure {
  return new RuntimeFailure(`VM "${name}" is running`)
}
