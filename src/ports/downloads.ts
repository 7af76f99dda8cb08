/** What a download gives: its bytes as the server sends them, never decoded. */
export interface DownloadedBytes {
  /** Null: the server does not say. */
  readonly sizeBytes: number | null
  /** To be read once. Rejects UNREACHABLE when no byte comes for too long, or the connection breaks before the end. */
  readonly bytes: AsyncIterable<Uint8Array>
}

/**
 * Files of the web. Errors are CideryErrors: TLS_REQUIRED (plain HTTP to another machine, also behind a redirect), NOT_FOUND (404, 410), UNREACHABLE (no answer, another status),
 * INVALID_INPUT (no http or https URL; too many redirects).
 */
export interface Downloads {
  read(url: string, signal: AbortSignal): Promise<DownloadedBytes>
}
