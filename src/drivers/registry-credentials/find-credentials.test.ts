import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { recordingLog } from '../../../test/doubles/recording-log.ts'
import type { FoundCredential } from '../../ports/registry-credentials.ts'
import { LocalProcesses } from '../processes/local-processes.ts'
import { createRegistryCredentials } from './find-credentials.ts'
import type { PlaceParts } from './place.ts'
import { credentialPlaces } from './registry.ts'

const token = 'ghp_0123456789abcdefghij'
const signal = AbortSignal.timeout(60_000)
let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'cidery-credentials-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function write(path: string, text: string, mode = 0o600): string {
  const file = join(home, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

function parts(own: Partial<PlaceParts> = {}): PlaceParts {
  return {
    platform: 'linux',
    home,
    processes: new LocalProcesses(),
    log: recordingLog(),
    uid: process.getuid?.() ?? 0,
    oldFolder: join(home, 'tmp'),
    ...own,
    env: { PATH: `${join(home, 'bin')}:${process.env['PATH'] ?? ''}`, ...own.env },
  }
}

function find(own: Partial<PlaceParts> = {}, registry = 'ghcr.io'): Promise<FoundCredential> {
  return createRegistryCredentials(parts(own)).find(registry, signal)
}

async function userOf(own: Partial<PlaceParts> = {}, registry = 'ghcr.io'): Promise<string> {
  const answer = await find(own, registry)
  return answer.found ? answer.credential.username : 'nobody'
}

/** A macOS `security` with one item, as its manual and its exit codes are. */
function keychain(registry: string, username: string, password: string): string {
  return write(
    'bin/security',
    `#!/bin/sh
echo "$@" >> ${home}/asked
case "$*" in
  "find-internet-password -s ${registry}")
    printf 'keychain: "/Users/ci/Library/Keychains/login.keychain-db"\\nclass: "inet"\\nattributes:\\n    0x00000007 <blob>="Tart Credentials"\\n    "acct"<blob>="${username}"\\n    "srvr"<blob>="${registry}"\\n' ;;
  "find-internet-password -s ${registry} -a ${username} -w") echo '${password}' ;;
  *) echo "security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain." >&2; exit 44 ;;
esac
`,
    0o755,
  )
}

const ofEnvironment = { GITHUB_USERNAME: 'from-environment', GITHUB_TOKEN: token }

function ofFile(username = 'from-file'): string {
  return write('.config/cidery/registry-credentials.json', JSON.stringify({ 'ghcr.io': { username, password: token } }))
}

function ofDocker(config: unknown, mode = 0o600): string {
  return write('.docker/config.json', JSON.stringify(config), mode)
}

function auth(username: string): { auth: string } {
  return { auth: Buffer.from(`${username}:${token}`).toString('base64') }
}

describe('the places of credentials', () => {
  it('have one line for each folder', () => {
    const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(credentialPlaces).sort())
  })

  it('are asked in order: keychain, environment, file, Docker, and /tmp with a warning; a file that others can read is refused [002-19]', async () => {
    const log = recordingLog()
    write('tmp/github-username.txt', 'from-tmp\n', 0o644)
    const tokenFile = write('tmp/github-token.txt', `${token}\n`)
    const tmp = await find({ log })
    expect(tmp).toMatchObject({ found: true, credential: { username: 'from-tmp', password: token } })
    expect(log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      'credentials are read from files of /tmp, which will not be read for ever',
    ])
    chmodSync(tokenFile, 0o644)
    await expect(find()).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('its mode is 0644') })
    ofDocker({ auths: { 'ghcr.io': auth('from-docker') } })
    chmodSync(tokenFile, 0o600)
    expect(await userOf()).toBe('from-tmp')
    const file = ofFile()
    expect(await userOf()).toBe('from-file')
    expect(await userOf({ env: ofEnvironment })).toBe('from-environment')
    const securityProgram = keychain('ghcr.io', 'from-keychain', token)
    const mac = { platform: 'darwin', securityProgram, env: ofEnvironment }
    expect(await find(mac)).toMatchObject({ credential: { username: 'from-keychain', password: token } })
    expect(await userOf({ ...mac, platform: 'linux' })).toBe('from-environment')
    chmodSync(file, 0o640)
    await expect(find()).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('its mode is 0640'),
      hint: `chmod 600 ${file}`,
    })
    rmSync(file)
    rmSync(tokenFile)
    expect(await userOf()).toBe('from-docker')
  })

  it('have nothing: each says where it looked', async () => {
    const answer = await find({ platform: 'darwin', securityProgram: keychain('other.example', 'x', 'y') })
    expect(answer.found ? [] : answer.looked).toEqual([
      'the keychain has no password for it',
      'no variable CIDERY_REGISTRY_PASSWORD',
      `no file ${home}/.config/cidery/registry-credentials.json`,
      `no file ${home}/.docker/config.json`,
    ])
  })

  it.each([
    ['a token of Buildkite', 'bkct_secretsecret'],
    ['a token of Buildkite', 'bkua_secretsecret'],
    ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nsecretsecret\n-----END RSA PRIVATE KEY-----'],
    ['a URL', 'https://secretsecret@ghcr.io'],
    ['a line break', 'ghp_secret\nsecret'],
    ['a line break', 'ghp_secretsecret\n'],
    ['white space', 'ghp_secret secret'],
  ])('have %s where the password of a registry belongs: that is said before it is sent [002-20]', async (kind, password) => {
    for (const own of [{ env: { GITHUB_USERNAME: 'fleet', GITHUB_TOKEN: password } }, {}]) {
      write('.config/cidery/registry-credentials.json', JSON.stringify({ 'ghcr.io': { username: 'fleet', password } }))
      const failure = await find(own).then(
        () => null,
        (error: unknown) => error as Error & { code: string; hint: string },
      )
      expect(failure).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(kind) })
      expect(failure?.message).toContain(own.env === undefined ? 'registry-credentials.json' : 'GITHUB_TOKEN')
      expect(`${failure?.message ?? ''} ${failure?.hint ?? ''}`).not.toContain('secret')
    }
  })

  it('have a user name that is none', async () => {
    for (const username of ['a:b', 'bkct_x', 'https://x', 'a b']) {
      await expect(find({ env: { GITHUB_USERNAME: username, GITHUB_TOKEN: token } })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining('user name'),
      })
    }
  })

  it('take the key document of Google as what it is', async () => {
    const password = JSON.stringify({ type: 'service_account', private_key: '-----BEGIN PRIVATE KEY-----\nx\n' }, null, 2)
    const env = {
      CIDERY_REGISTRY_HOSTNAME: 'europe-docker.pkg.dev',
      CIDERY_REGISTRY_USERNAME: '_json_key',
      CIDERY_REGISTRY_PASSWORD: password,
    }
    expect(await find({ env }, 'europe-docker.pkg.dev')).toMatchObject({ credential: { password } })
  })
})

describe('the keychain', () => {
  const mac = (securityProgram: string): Partial<PlaceParts> => ({ platform: 'darwin', securityProgram })

  it('never sees a password in the arguments of a program', async () => {
    await find(mac(keychain('ghcr.io', 'fleet', token)))
    expect(readFileSync(join(home, 'asked'), 'utf8')).toBe(
      'find-internet-password -s ghcr.io\nfind-internet-password -s ghcr.io -a fleet -w\n',
    )
  })

  it.each([
    ['exit 36', 'is locked for this process'],
    ['exit 51', 'security ended with 51'],
    ['echo nothing', 'without an account'],
  ])('that says "%s" is passed over, with the reason', async (script, reason) => {
    const answer = await find(mac(write('bin/security', `#!/bin/sh\n${script}\n`, 0o755)))
    expect(answer.found ? '' : answer.looked[0]).toContain(reason)
    const gone = await find(mac(join(home, 'bin/nothing')))
    expect(gone.found ? '' : gone.looked[0]).toContain('could not be started')
  })

  it('that waits for somebody at the screen ends with who asks', async () => {
    const control = new AbortController()
    const program = write('bin/security', '#!/bin/sh\necho $$ > "$(dirname "$0")/pid"\nsleep 60\n', 0o755)
    const asking = createRegistryCredentials(parts(mac(program))).find('ghcr.io', control.signal)
    const started = vi.waitFor(() => expect(readFileSync(join(home, 'bin/pid'), 'utf8')).toMatch(/^\d+\n$/), { timeout: 10_000 })
    await Promise.all([expect(asking).rejects.toThrow('enough'), started.then(() => control.abort(new Error('enough')))])
    expect(() => process.kill(Number(readFileSync(join(home, 'bin/pid'), 'utf8')), 0)).toThrow('ESRCH')
  })
})

describe('the environment', () => {
  it.each(['CIDERY', 'TART'])('gives what %s_REGISTRY_* hold to the registry that they name, and to no other', async (prefix) => {
    const env = { [`${prefix}_REGISTRY_USERNAME`]: 'fleet', [`${prefix}_REGISTRY_PASSWORD`]: token }
    const named = { ...env, [`${prefix}_REGISTRY_HOSTNAME`]: 'Registry.example.org' }
    expect(await userOf({ env: named }, 'registry.example.org')).toBe('fleet')
    expect(await userOf({ env: named }, 'ghcr.io')).toBe('nobody')
    const answer = await find({ env })
    expect(answer.found ? '' : answer.looked.join()).toContain(`no ${prefix}_REGISTRY_HOSTNAME says for which registry`)
  })

  it('gives the token of GitHub to ghcr.io alone', async () => {
    expect(await userOf({ env: ofEnvironment }, 'ghcr.io')).toBe('from-environment')
    expect(await userOf({ env: ofEnvironment }, 'registry.example.org')).toBe('nobody')
    const half = await find({ env: { GITHUB_TOKEN: token } })
    expect(half.found ? '' : half.looked.join()).toContain('GITHUB_TOKEN is set without GITHUB_USERNAME')
  })
})

describe('the files', () => {
  it('are no links, no folders, and say what is wrong without what is in them', async () => {
    const file = ofFile()
    rmSync(file)
    symlinkSync(write('elsewhere', '{}'), file)
    await expect(find()).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('symbolic link') })
    rmSync(file)
    mkdirSync(file)
    await expect(find()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    rmSync(file, { recursive: true })
    for (const text of ['secretsecret', '{"ghcr.io":"secretsecret"}', '{"ghcr.io":{"username":"a","secretsecret":"b"}}']) {
      write('.config/cidery/registry-credentials.json', text)
      const failure = await find().then(
        () => null,
        (error: unknown) => error as Error,
      )
      expect(failure).toMatchObject({ code: 'INVALID_INPUT' })
      expect(String(failure?.message) + String(failure?.cause)).not.toContain('secretsecret')
    }
  })

  it.runIf(process.getuid?.() === 0)('of /tmp that another user made are passed over, and keep nobody from the rest', async () => {
    const files = [write('tmp/github-username.txt', 'mallory', 0o644), write('tmp/github-token.txt', 'ghp_of_somebody_else', 0o644)]
    for (const file of files) chownSync(file, 65_534, 65_534)
    ofDocker({ auths: { 'ghcr.io': auth('from-docker') } })
    expect(await userOf()).toBe('from-docker')
    rmSync(join(home, '.docker'), { recursive: true })
    const answer = await find()
    expect(answer.found ? '' : answer.looked.join()).toContain('are of another user and not read')
    chownSync(ofFile(), 65_534, 65_534)
    await expect(find()).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('uid 65534') })
  })
})

describe('the configuration of Docker', () => {
  function helper(name: string, answers: Readonly<Record<string, string>>): void {
    const cases = Object.entries(answers).map(([server, answer]) => `  "${server}") echo '${answer}' ;;`)
    const script = `#!/bin/sh\n[ "$1" = get ] || exit 2\nread -r server\ncase "$server" in\n${cases.join('\n')}\n  *) echo "credentials not found in native keychain"; exit 1 ;;\nesac\n`
    write(`bin/docker-credential-${name}`, script, 0o755)
  }

  it('names a program for one registry, one for all, and has entries itself: in this order', async () => {
    helper('one', { 'ghcr.io': JSON.stringify({ ServerURL: 'ghcr.io', Username: 'from-one', Secret: token }) })
    helper('all', {
      'ghcr.io': JSON.stringify({ Username: 'from-all', Secret: token }),
      'https://index.docker.io/v1/': JSON.stringify({ Username: 'hub', Secret: token }),
    })
    const auths = { 'ghcr.io': auth('from-auths'), 'https://index.docker.io/v1/': {}, 'https://registry.example.org/v2/': auth('by-url') }
    ofDocker({ credHelpers: { 'ghcr.io': 'one' }, credsStore: 'all', auths })
    expect(await find()).toMatchObject({ credential: { username: 'from-one', password: token, source: 'docker-credential-one' } })
    ofDocker({ credsStore: 'all', auths })
    expect(await userOf()).toBe('from-all')
    expect(await userOf({}, 'docker.io')).toBe('hub')
    expect(await userOf({}, 'registry.example.org')).toBe('by-url')
    ofDocker({ auths })
    expect(await userOf()).toBe('from-auths')
    const elsewhere = { DOCKER_CONFIG: join(home, 'nowhere') }
    expect(await userOf({ env: elsewhere })).toBe('nobody')
  })

  it('says what it has that is not supported, or is not there', async () => {
    const lookedAt = async (config: unknown): Promise<string> => {
      ofDocker(config)
      const answer = await find()
      return answer.found ? 'found' : (answer.looked.at(-1) ?? '')
    }
    helper('azure', { 'ghcr.io': JSON.stringify({ Username: '<token>', Secret: 'x' }) })
    expect(await lookedAt({ credsStore: 'azure' })).toContain('only an identity token')
    expect(await lookedAt({ auths: { 'ghcr.io': { identitytoken: 'x' } } })).toContain('only an identity token')
    expect(await lookedAt({ auths: { 'ghcr.io': {} } })).toContain('an empty entry')
    expect(await lookedAt({ credsStore: 'not-installed' })).toContain('docker-credential-not-installed')
    expect(await lookedAt({})).toContain('no entry')
    helper('odd', { 'ghcr.io': 'ghp_secretsecret' })
    ofDocker({ credsStore: 'odd' })
    await expect(find()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.not.stringContaining('secret') })
    ofDocker({ credsStore: '../../bin/sh' })
    await expect(find()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('that others can read is used, and warned of once', async () => {
    const log = recordingLog()
    ofDocker({ auths: { 'ghcr.io': auth('fleet') } }, 0o644)
    const credentials = createRegistryCredentials(parts({ log }))
    for (let i = 0; i < 3; i += 1) await credentials.find('ghcr.io', signal)
    expect(log.lines.map(({ facts }) => facts)).toEqual([expect.objectContaining({ mode: '0644' })])
  })
})
