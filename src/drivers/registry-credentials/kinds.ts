import { CideryError } from '../../model/errors.ts'
import type { RegistryCredential } from '../../ports/registry-credentials.ts'

/** Secrets that people put where a registry's belongs, by how they look. The first that fits is named. */
const wrongKinds: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'is empty'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'is a private key, such as that of a GitHub App'],
  // bkct_ cluster, bkua_ user's API token, and more of that form.
  [/^bk[a-z]{1,4}_/i, 'is a token of Buildkite'],
  [/^[a-z][a-z\d+.-]*:\/\//i, 'is a URL'],
  [/[\r\n]/, 'has a line break in it'],
  [/\s/, 'has white space in it'],
  [/[\0-\x1f\x7f]/, 'has control characters in it'],
]

/** Google's registries take the JSON of a key as the password of these users. */
const usersWithDocuments = new Set(['_json_key'])

/**
 * Throws INVALID_INPUT for what no registry can take, before it is sent anywhere. Says what it is and where it came from, never the value.
 */
export function checkKind(credential: RegistryCredential, registry: string): RegistryCredential {
  const { username, password, source } = credential
  const problem = usersWithDocuments.has(username) ? undefined : kindOf(password)
  if (problem !== undefined) throw wrong(`the password from ${source} ${problem}`, registry)
  const userProblem = username.includes(':') ? 'has a colon in it' : kindOf(username)
  if (userProblem !== undefined) throw wrong(`the user name from ${source} ${userProblem}`, registry)
  return credential
}

function kindOf(text: string): string | undefined {
  return wrongKinds.find(([pattern]) => pattern.test(text))?.[1]
}

function wrong(what: string, registry: string): CideryError {
  return new CideryError('INVALID_INPUT', `${what}, and ${registry} does not take that`, {
    hint:
      registry === 'ghcr.io'
        ? 'ghcr.io takes a personal access token (classic) with read:packages, and with write:packages to push'
        : `give a user name and a password or token of ${registry}`,
  })
}
