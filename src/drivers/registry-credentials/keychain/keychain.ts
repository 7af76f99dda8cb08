import type { CredentialPlace, PlaceAnswer, PlaceParts } from '../place.ts'
import { runProgram } from '../run-program.ts'

/** Exit codes of `security` are the low byte of the Security framework's status: -25300 and -25308. */
const notFound = 44
const notAllowed = 36

/** Internet passwords of the login keychain, where `tart login` and Docker's helper put theirs. Only on macOS. */
export function makeKeychain(parts: PlaceParts): CredentialPlace {
  const program = parts.securityProgram ?? '/usr/bin/security'

  async function ask(registry: string, signal: AbortSignal): Promise<PlaceAnswer> {
    const item = await runProgram(parts, [program, 'find-internet-password', '-s', registry], { signal })
    if (item === null) return { looked: `${program} could not be started` }
    if (item.code !== 0) return { looked: `the keychain ${reasonOf(item.code)}` }
    const username = accountOf(item.output)
    if (username === null) return { looked: `the keychain has ${registry} without an account` }
    // The name of the account is no secret; the password comes back on a pipe.
    const secret = await runProgram(parts, [program, 'find-internet-password', '-s', registry, '-a', username, '-w'], { signal })
    if (secret?.code !== 0) return { looked: `the keychain ${reasonOf(secret?.code ?? notAllowed)}` }
    return { credential: { username, password: secret.output.replace(/\n$/, ''), source: `the keychain (${registry})` } }
  }

  return {
    find(registry, signal) {
      return parts.platform === 'darwin' ? ask(registry, signal) : Promise.resolve({ looked: 'the keychain is only on macOS' })
    },
  }
}

function reasonOf(code: number): string {
  if (code === notFound) return 'has no password for it'
  if (code === notAllowed) return 'is locked for this process: unlock it, or log in at the screen once'
  return `could not be asked: security ended with ${code}`
}

/** The line `"acct"<blob>="fleet"`, or with what is no ASCII in hex before it: `"acct"<blob>=0x… "…"`. */
function accountOf(output: string): string | null {
  const [, hex, text] = /^\s*"acct"<blob>=(?:0x([0-9A-F]+)\s*)?(?:"(.*)")?$/m.exec(output) ?? []
  if (hex !== undefined) return Buffer.from(hex, 'hex').toString('utf8')
  return text ?? null
}
