/** Logs of builds on a host: they outlive the machine, the agent, and a build that failed. */
export interface BuildLogs {
  /** Appends; resolves when it is on the disk. Beyond the limit of a log nothing is added but a mark. */
  append(buildId: string, bytes: Uint8Array): Promise<void>
  length(buildId: string): Promise<number>
  /** Bytes from `offset`, at most `limit`; none where there is no such log. */
  read(buildId: string, offset: number, limit: number): Promise<Uint8Array>
  /** Removes logs that nobody wrote to for so long (ms). Gives the ids. */
  removeOlder(ageMs: number): Promise<readonly string[]>
}
