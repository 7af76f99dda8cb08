import { describe, expect, it } from 'vitest'
import { errorFrom, faultIn, faultTable, type FaultKind } from './faults.ts'
import { readSettings } from './settings.ts'

/** Text, version of Tart, and what it tells. */
const cases: readonly (readonly [string, string, FaultKind])[] = [
  ['the specified VM "a" does not exist\n', '2.35.0', 'noSuchVm'],
  ['VM "a" is already running!\n', '2.35.0', 'alreadyRunning'],
  ['VM "a" is not running\n', '2.35.0', 'notRunning'],
  ['VM "a" is running\n', '2.35.0', 'isRunning'],
  ['The number of VMs exceeds the system limit (other running VMs: a, b)\n', '2.35.0', 'guestLimit'],
  ['The number of VMs exceeds the system limit\n', '2.30.1', 'guestLimit'],
  [
    'Error Domain=VZErrorDomain Code=6 "x" … The maximum supported number of active virtual machines has been reached.',
    '2.20.0',
    'guestLimit',
  ],
  ['Error Domain=VZErrorDomain Code=1 "Internal Virtualization error." … Code=-25308', '2.35.0', 'keychain'],
  ['Error Domain=VZErrorDomain Code=1 "Internal Virtualization error."', '2.35.0', 'internal'],
  ['Error Domain=VZErrorDomain Code=2 "…" Failed to lock auxiliary storage.', '2.35.0', 'auxiliaryLocked'],
  ['Softnet failed: no SUID bit', '2.35.0', 'softnet'],
  ['Failed to connect to the VM using its control socket: x, is the Tart Guest Agent running?', '2.35.0', 'noAgent'],
  ["Error: Unexpected argument 'exec'\nUsage: tart <subcommand>", '2.20.0', 'noExec'],
  ["Error: Unexpected argument 'exec'\nUsage: tart <subcommand>", '2.35.0', 'unknown'],
  ['no IP address found, is your VM running?', '2.35.0', 'noAddress'],
  ['VM should have 4 CPU cores at minimum (requested 1)', '2.35.0', 'tooSmall'],
  ['write: No space left on device', '2.35.0', 'diskFull'],
  ['failed to pull from the registry: unexpected HTTP status code 404', '2.35.0', 'notInRegistry'],
  ['unexpected HTTP status code 401', '2.35.0', 'registryRefused'],
  ['authentication failed: no credentials', '2.35.0', 'registryRefused'],
  ['unexpected HTTP status code 429: slow down', '2.35.0', 'registryBusy'],
  ['unexpected HTTP status code 503', '2.35.0', 'registryBusy'],
  ['The network connection was lost.', '2.35.0', 'network'],
  ['OCI storage error: failed to decompress disk layer', '2.35.0', 'layerBroken'],
  ['something new', '2.35.0', 'unknown'],
  ['The number of VMs exceeds the system limit\n', '2.20.0', 'unknown'],
  ['Keychain: User interaction is not allowed.', '2.35.0', 'keychain'],
  ['Error Domain=VZErrorDomain Code=2 "The virtual machine failed to start."', '2.30.0', 'auxiliaryLocked'],
  ['failed to start vmnet interface: VMNET_FAILURE', '2.35.0', 'vmnet'],
  ['Error: DecodingError.keyNotFound', '2.35.0', 'configBroken'],
  ['The data couldn’t be read because it isn’t in the correct format; dataCorrupted', '2.35.0', 'configBroken'],
  ['uncaught exception NSFileHandleOperationException', '2.35.0', 'diskFull'],
  ['no IP address found, is your VM running? (also make sure that Guest agent for Tart is running inside of a VM)', '2.35.0', 'noAddress'],
  // Only whole lines count: a machine may have any name, and a guest may say anything.
  ['x VM "a" is running', '2.35.0', 'unknown'],
  ['a guest said: the specified VM "a" does not exist', '2.35.0', 'unknown'],
]

describe('what Tart says', () => {
  it.each(cases)('%j of %s is %s', (text, version, kind) => {
    expect(faultIn(text, version)).toBe(kind)
  })

  it('has a case for every fault that the engine tells apart', () => {
    const told = new Set(cases.map(([, , kind]) => kind))
    expect(faultTable.map(({ kind }) => kind).filter((kind) => !told.has(kind))).toEqual([])
  })

  it('becomes an error with the words and the cure', () => {
    const error = errorFrom('the machine did not boot', 'noise\nSoftnet failed: no rights\n', '2.35.0')
    expect(error).toMatchObject({
      code: 'ENGINE_FAILED',
      message: 'the machine did not boot: noise; Softnet failed: no rights',
      details: { fault: 'softnet' },
    })
    expect(error.hint).toContain('chmod u+s')
    expect(errorFrom('x', '', '2.35.0').message).toBe('x: Tart said nothing')
  })
})

describe('settings of the tart engine', () => {
  it('has two slots, the shared network and the account of public images, unless told otherwise', () => {
    expect(readSettings({ stateDir: '/s', home: '/h' })).toMatchObject({
      slots: 2,
      network: 'shared',
      user: 'admin',
      ssh: null,
      prefix: 'cidery',
      bootMs: 300_000,
    })
    expect(readSettings({ stateDir: '/s', ssh: { keyFile: '/k' } }).ssh).toEqual({ keyFile: '/k', passwordFile: null })
  })

  it.each([
    [{ prefix: 'Job-' }, /the prefix "Job-" cannot be used/],
    [{ user: 'a b' }, /"a b" is not the name of an account/],
    [{ program: 'tart' }, /tart is not an absolute path/],
    [{ ssh: { passwordFile: 'p' } }, /p is not an absolute path/],
  ])('refuses %j', (wrong, message) => {
    expect(() => readSettings({ stateDir: '/s', ...wrong })).toThrow(message)
  })
})
