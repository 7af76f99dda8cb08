import { CideryError } from '../../../model/errors.ts'
import type { ErrorCode } from '../../../model/errors.ts'

export type FaultKind =
  | 'noSuchVm'
  | 'notRunning'
  | 'alreadyRunning'
  | 'isRunning'
  | 'guestLimit'
  | 'keychain'
  | 'auxiliaryLocked'
  | 'vmnet'
  | 'softnet'
  | 'noAgent'
  | 'noExec'
  | 'noAddress'
  | 'tooSmall'
  | 'configBroken'
  | 'diskFull'
  | 'notInRegistry'
  | 'registryRefused'
  | 'registryBusy'
  | 'network'
  | 'layerBroken'
  | 'internal'
  | 'unknown'

interface FaultRow {
  readonly kind: FaultKind
  /** On stderr, or on stdout where Tart says it there. */
  readonly pattern: RegExp
  /** Versions (major, minor) that say it like this; both ends included, absent: all. */
  readonly from?: readonly [number, number]
  readonly until?: readonly [number, number]
  readonly code: ErrorCode
  /** What to do about it. */
  readonly cure?: string
}

/**
 * Every fault of Tart that the engine tells apart, by what Tart says; the first row that fits counts. Tart's exit codes say too little: 2 is also a
 * command's own, 1 is everything else. Texts: Tart 2.20–2.35, tart#1025 #1067 #1132 (keychain), #865 #967 (auxiliary storage), #989 (disk).
 */
export const faultTable: readonly FaultRow[] = [
  { kind: 'noSuchVm', pattern: /^the specified VM ".*" does not exist$/m, code: 'NOT_FOUND' },
  { kind: 'alreadyRunning', pattern: /^VM ".*" is already running!$/m, code: 'CONFLICT' },
  { kind: 'notRunning', pattern: /^VM ".*" is not running$/m, code: 'CONFLICT' },
  { kind: 'isRunning', pattern: /^VM ".*" is running$/m, code: 'CONFLICT' },
  { kind: 'guestLimit', pattern: /^The number of VMs exceeds the system limit/m, from: [2, 30], code: 'CONFLICT' },
  { kind: 'guestLimit', pattern: /VZErrorDomain Code=6\b|maximum supported number of active virtual machines/, code: 'CONFLICT' },
  {
    kind: 'keychain',
    pattern: /-25308|User interaction is not allowed/,
    code: 'ENGINE_FAILED',
    cure: 'on a Mac without a screen macOS needs an unlocked login keychain: security create-keychain -p "" login.keychain; security unlock-keychain -p "" login.keychain',
  },
  {
    kind: 'auxiliaryLocked',
    pattern: /Failed to lock auxiliary storage|VZErrorDomain Code=2\b/,
    code: 'ENGINE_FAILED',
    cure: 'another process holds the machine’s nvram.bin: look with lsof',
  },
  {
    kind: 'vmnet',
    pattern: /\bvmnet\b/i,
    code: 'ENGINE_FAILED',
    cure: 'macOS’s network for machines did not come up: try again, or restart the host',
  },
  {
    kind: 'softnet',
    pattern: /^Softnet failed: /m,
    code: 'ENGINE_FAILED',
    cure: 'give Softnet its rights: sudo chown root $(which softnet) && sudo chmod u+s $(which softnet)',
  },
  { kind: 'noAgent', pattern: /^Failed to connect to the VM using its control socket: /m, code: 'UNAVAILABLE' },
  { kind: 'noExec', pattern: /^Error: Unexpected argument 'exec'/m, until: [2, 29], code: 'UNSUPPORTED', cure: 'brew upgrade tart' },
  { kind: 'noAddress', pattern: /^no IP address found/m, code: 'UNAVAILABLE' },
  { kind: 'tooSmall', pattern: /^VM should have \d+ /m, code: 'UNSUPPORTED' },
  {
    kind: 'configBroken',
    pattern: /DecodingError|dataCorrupted|not in the correct format/,
    code: 'ENGINE_FAILED',
    cure: 'a machine’s config.json cannot be read, and no clone works until it is gone: look at each vms/*/config.json below TART_HOME',
  },
  {
    kind: 'diskFull',
    pattern: /No space left on device|NSFileHandleOperationException/,
    code: 'STORAGE_FULL',
    cure: 'free some disk: tart prune --space-budget …',
  },
  { kind: 'notInRegistry', pattern: /HTTP status code 404\b/, code: 'NOT_FOUND' },
  {
    kind: 'registryRefused',
    pattern: /HTTP status code 40[13]\b|^authentication failed/m,
    code: 'UNAUTHENTICATED',
    cure: 'Tart has credentials of its own: tart login HOST as the agent’s user, or TART_REGISTRY_… in engines.tart.env',
  },
  { kind: 'registryBusy', pattern: /HTTP status code (?:429|5\d\d)\b/, code: 'UNAVAILABLE' },
  {
    kind: 'network',
    pattern: /The network connection was lost|Could not connect to the server|The request timed out|The Internet connection appears/,
    code: 'UNAVAILABLE',
  },
  // What cannot be unpacked is not what was pushed.
  { kind: 'layerBroken', pattern: /failed to decompress|OCI storage error/, code: 'DIGEST_MISMATCH' },
  {
    kind: 'internal',
    pattern: /VZErrorDomain Code=1\b/,
    code: 'ENGINE_FAILED',
    cure: 'Console.app has what com.apple.Virtualization said',
  },
]

function within(version: string, { from, until }: FaultRow): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const number = major * 1000 + minor
  if (from !== undefined && number < from[0] * 1000 + from[1]) return false
  return until === undefined || number <= until[0] * 1000 + until[1]
}

/** Which fault a text of Tart tells of. @example faultIn('VM "a" is running\n', '2.35.0') // 'isRunning' */
export function faultIn(text: string, version: string): FaultKind {
  return rowIn(text, version)?.kind ?? 'unknown'
}

function rowIn(text: string, version: string): FaultRow | undefined {
  return faultTable.find((row) => row.pattern.test(text) && within(version, row))
}

/** What could not be done, why, and the cure where one is known. */
export function errorFrom(what: string, text: string, version: string): CideryError {
  const row = rowIn(text, version)
  const said = text.trim().split('\n').slice(-3).join('; ').slice(-400)
  return new CideryError(row?.code ?? 'ENGINE_FAILED', `${what}: ${said === '' ? 'Tart said nothing' : said}`, {
    hint: row?.cure,
    details: { fault: row?.kind ?? 'unknown' },
  })
}
