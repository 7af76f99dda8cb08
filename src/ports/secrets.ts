/** Encrypts secrets at rest with a key file outside the database (AES-256-GCM); `context` is bound to the ciphertext. */
export interface SecretBox {
  /** Tells keys apart without telling them. */
  readonly keyId: string
  seal(plain: string, context: string): string
  /** Throws INTERNAL when key or context differ. */
  open(sealed: string, context: string): string
}

/** Passwords of people: slow and salted (scrypt). */
export interface PasswordHasher {
  hash(password: string): Promise<string>
  verify(password: string, hash: string): Promise<boolean>
}

/** Signs journal checkpoints (Ed25519). */
export interface Signer {
  readonly publicKey: string
  sign(text: string): string
  verify(text: string, signature: string): boolean
}

/** One-way and keyed-free digests that the pure code may not compute itself. */
export interface Digests {
  sha256(bytes: Uint8Array | string): string
}
