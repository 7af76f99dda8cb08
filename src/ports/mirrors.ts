/** One mirror per git URL on this host, in a folder that only the agent reads. */
export interface SourceMirrors {
  /**
   * Brings a commit into the mirror of its URL and gives its files as a tar stream (no `.git`).
   * Throws NOT_FOUND when the repository answers but has no such commit, INVALID_INPUT for a URL that may not be read,
   * UNREACHABLE when the repository does not answer in time.
   */
  open(url: string, commit: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
}
