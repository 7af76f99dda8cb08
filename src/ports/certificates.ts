/** What a server proves itself with, as PEM. */
export interface ServerCertificate {
  /** The server's certificate, then those that signed it. */
  readonly chain: string
  readonly key: string
  readonly expiresAt: number
}

/** The controller's certificates: its own CA and what that signed, or files that the operator brought. */
export interface Certificates {
  /** PEM of the CA that clients pin; null when the operator's certificate is signed by a CA that machines know anyway. */
  readonly caPem: string | null
  /** SHA-256 (hex) of the CA certificate's DER. */
  readonly caFingerprint: string | null
  current(): ServerCertificate
  /** Makes a new server certificate when the present one ends soon or lacks a name; answers whether it did. */
  renewIfDue(): Promise<boolean>
}
