import type { ServePorts } from '../serve-ports.ts'

/** Each kind of credential says what it is by its first letters, so that a leaked one is recognised and scanners find it. */
export const credentialPrefixes = {
  token: 'cidery_tok_',
  key: 'cidery_key_',
  enrolment: 'cidery_enr_',
  code: 'cidery_code_',
  session: 'cidery_ses_',
} as const
export type CredentialKind = keyof typeof credentialPrefixes

/** A new secret of 256 random bits: its prefix and 43 base64url characters. */
export function newCredential(ports: Pick<ServePorts, 'random'>, kind: CredentialKind): string {
  return credentialPrefixes[kind] + Buffer.from(ports.random.bytes(32)).toString('base64url')
}

/** What is stored of a credential. 256 random bits need no salt and no slow hash. */
export function credentialHash(ports: Pick<ServePorts, 'digests'>, secret: string): string {
  return ports.digests.sha256(secret)
}

const credentialForm = /^cidery_(?:tok|key|enr|code|ses)_[A-Za-z0-9_-]{43}$/

/** Whether a text can be a credential of a kind at all: anything else is refused without asking the store. */
export function isCredential(text: string, kind: CredentialKind): boolean {
  return text.startsWith(credentialPrefixes[kind]) && credentialForm.test(text)
}
