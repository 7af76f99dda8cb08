import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeManifest, sha256, writeArchive } from '../../../../tools/release/archive.js'
import type { UpgradeRequest } from '../../../model/release.ts'
import type { Releases } from '../../../ports/releases.ts'
import { adoptRelease } from './adopt.ts'
import { openReleases } from './release-folder.ts'

const platform = 'linux-x64'
let folder: string
let stateDir: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cidery-releases-')))
  stateDir = join(folder, 'agent')
  mkdirSync(stateDir, { mode: 0o700 })
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Made {
  readonly wanted: UpgradeRequest
  readonly bytes: Buffer
  readonly folder: string
}

/** A release of two files. */
async function make(version: string, on = platform): Promise<Made> {
  const from = join(folder, `made-${version}-${on}`)
  const contents = { 'bin/node': `#!/bin/sh\necho cidery ${version}\n`, 'dist/main/a.js': `// ${version}\n` }
  const files = Object.entries(contents).map(([path, text]) => {
    mkdirSync(dirname(join(from, path)), { recursive: true })
    writeFileSync(join(from, path), text)
    return [path, join(from, path)]
  })
  const manifest = makeManifest({ version, commit: `commit-${version}`, platform: on, node: '26.10.0', files })
  const archive = join(folder, `${version}-${on}.tar.gz`)
  await writeArchive(archive, { folder: 'cidery', manifest, files, mtime: new Date(0), level: 1 })
  writeFileSync(join(from, 'manifest.json'), manifest)
  const bytes = readFileSync(archive)
  return { wanted: wantedOf({ version, release: sha256(manifest), bytes }), bytes, folder: from }
}

function wantedOf({
  version,
  release,
  bytes,
}: {
  readonly version: string
  readonly release: string
  readonly bytes: Buffer
}): UpgradeRequest {
  const blob = createHash('sha256').update(bytes).digest('hex')
  return { kind: 'upgradeAgent', blob, sizeBytes: bytes.length, version, release, allowDowngrade: false, deadlineS: 60 }
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
}

/** The releases of an agent that runs `version`. */
async function opened(version = '1.0.0'): Promise<{ readonly releases: Releases; readonly path: string }> {
  const { path } = await adoptRelease((await make(version)).folder, stateDir)
  const releases = await openReleases({ stateDir, root: path, now: () => 1000 })
  if (releases === null) throw new Error('it is not one of its own releases')
  return { releases, path }
}

function folders(): readonly string[] {
  return readdirSync(join(stateDir, 'releases')).filter((name) => !name.endsWith('.json'))
}

it('is of an agent that runs from its own directory, and of no other', async () => {
  const made = await make('1.0.0')
  expect(await openReleases({ stateDir, root: made.folder, now: () => 0 })).toBeNull()
  const { path } = await opened()
  expect(path).toBe(join(stateDir, 'releases', `1.0.0-${made.wanted.release.slice(0, 16)}`))
  expect(readlinkSync(join(stateDir, 'current'))).toBe(`releases/1.0.0-${made.wanted.release.slice(0, 16)}`)
  expect([statSync(join(path, 'bin/node')).mode & 0o777, statSync(join(path, 'dist/main/a.js')).mode & 0o777]).toEqual([0o755, 0o644])
  // A second time is the same, also out of its own folder.
  await adoptRelease(path, stateDir)
  await adoptRelease(made.folder, stateDir)
  expect(folders()).toHaveLength(1)
})

it('does not adopt a release that somebody changed', async () => {
  const made = await make('1.0.0')
  writeFileSync(join(made.folder, 'dist/main/a.js'), '// another\n')
  await expect(adoptRelease(made.folder, stateDir)).rejects.toThrow('dist/main/a.js is not the file that manifest.json names')
  expect(existsSync(join(stateDir, 'current'))).toBe(false)
})

describe('an archive', () => {
  it('is unpacked beside the others, the same one twice', async () => {
    const { releases } = await opened()
    const { wanted, bytes } = await make('2.0.0')
    const staged = await releases.stage(inPieces(bytes), wanted)
    expect(staged).toMatchObject({ version: '2.0.0', commit: 'commit-2.0.0', sha256: wanted.release })
    expect(readFileSync(join(staged.path, 'dist/main/a.js'), 'utf8')).toBe('// 2.0.0\n')
    const before = statSync(join(staged.path, 'bin/node')).ino
    expect(await releases.stage(inPieces(bytes), wanted)).toEqual(staged)
    expect(statSync(join(staged.path, 'bin/node')).ino).toBe(before)
    // What somebody changed since is replaced.
    writeFileSync(join(staged.path, 'bin/node'), 'changed')
    await releases.stage(inPieces(bytes), wanted)
    expect(readFileSync(join(staged.path, 'bin/node'), 'utf8')).toContain('2.0.0')
    expect(folders()).toHaveLength(2)
  })

  async function refused(bytes: Buffer, wanted: UpgradeRequest): Promise<string> {
    const { releases } = await opened()
    const error = await releases.stage(inPieces(bytes), wanted).then(
      () => null,
      (thrown: unknown) => thrown as Error & { readonly code: string },
    )
    expect(error).toMatchObject({ code: 'INVALID_INPUT' })
    expect(folders()).toEqual([expect.stringMatching(/^1\.0\.0-/)])
    return error?.message ?? ''
  }

  it('of another platform, version or content than was asked for is refused before anything is written', async () => {
    const mac = await make('2.0.0', 'darwin-arm64')
    expect(await refused(mac.bytes, mac.wanted)).toBe('the archive is for darwin-arm64, and this host is linux-x64')
    const { bytes, wanted } = await make('2.0.0')
    expect(await refused(bytes, { ...wanted, version: '2.0.1' })).toContain('the archive holds 2.0.0')
    expect(await refused(bytes, { ...wanted, release: '0'.repeat(64) })).toContain('the archive holds 2.0.0')
  })

  it('with a byte too many, too few or changed is refused, wherever it is', async () => {
    const { bytes, wanted } = await make('2.0.0')
    expect(await refused(bytes.subarray(0, -1), wanted)).toContain('not the')
    expect(await refused(Buffer.concat([bytes, Buffer.from('x')]), wanted)).toContain('longer than')
    for (let at = 20; at < bytes.length; at += 97) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      await refused(changed, wanted)
    }
  })

  /** An archive whose entries are what a test says; the manifest is the right one. */
  async function forged(entries: readonly (readonly [Partial<Header> & { readonly name: string }, string])[]): Promise<string> {
    const { bytes, wanted } = await make('2.0.0')
    const archive = pack()
    const manifest = readFileSync(join(folder, 'made-2.0.0-linux-x64', 'manifest.json'), 'utf8')
    for (const [header, text] of entries) archive.entry({ mode: 0o644, ...header }, text === 'MANIFEST' ? manifest : text)
    archive.finalize()
    const pieces: Buffer[] = []
    for await (const piece of archive) pieces.push(piece as Buffer)
    expect(gunzipSync(bytes).length).toBeGreaterThan(0)
    const packed = gzipSync(Buffer.concat(pieces))
    return refused(packed, { ...wanted, sizeBytes: packed.length })
  }

  const head = [{ name: 'cidery/manifest.json' }, 'MANIFEST'] as const
  const node = [{ name: 'cidery/bin/node' }, '#!/bin/sh\necho cidery 2.0.0\n'] as const
  const program = [{ name: 'cidery/dist/main/a.js' }, '// 2.0.0\n'] as const

  it('that holds anything but the files of its manifest is refused', async () => {
    expect(await forged([])).toContain('empty')
    expect(await forged([node, head, program])).toContain('its first file is "cidery/bin/node"')
    expect(await forged([head, node])).toContain('dist/main/a.js is missing')
    expect(await forged([head, node, node, program])).toContain('there twice')
    expect(await forged([head, node, program, [{ name: 'cidery/more' }, 'x']])).toContain('"cidery/more" is not in its manifest')
    expect(await forged([head, node, program, [{ name: 'cidery/../../../escaped' }, 'x']])).toContain('is not in its manifest')
    expect(await forged([head, node, program, [{ name: '/etc/escaped' }, 'x']])).toContain('is not in its manifest')
    expect(await forged([head, node, [{ name: 'cidery/dist/main/a.js' }, '// 2.0.1\n']])).toContain('dist/main/a.js is not the file')
    expect(await forged([head, node, [{ name: 'cidery/dist/main/a.js' }, '// longer than it was\n']])).toContain(
      'dist/main/a.js is not the file',
    )
    expect(await forged([head, [{ name: 'cidery/bin/node', type: 'symlink', linkname: '/bin/sh' }, '']])).toContain(
      'only plain files are taken',
    )
    expect(await forged([head, [{ name: 'cidery/bin', type: 'directory' }, '']])).toContain('only plain files are taken')
    expect(existsSync(join(folder, 'escaped'))).toBe(false)
  })
})

describe('an upgrade', () => {
  it('counts from the moment that the new release says so itself, and leaves the one before in its place', async () => {
    const { releases, path } = await opened()
    const { wanted, bytes } = await make('2.0.0')
    const staged = await releases.stage(inPieces(bytes), wanted)
    await releases.begin('op_1', staged, 60_000)
    expect(readlinkSync(join(stateDir, 'current'))).toContain('1.0.0-')
    const next = await openReleases({ stateDir, root: staged.path, now: () => 2000 })
    expect(await next?.upgrade()).toMatchObject({
      operationId: 'op_1',
      from: { path },
      to: staged,
      beganAt: 1000,
      deadlineMs: 60_000,
      failure: null,
    })
    expect(next?.describe()).toEqual({ commit: 'commit-2.0.0', path: staged.path, sha256: wanted.release, operation: null })
    await next?.confirm()
    expect(readlinkSync(join(stateDir, 'current'))).toContain('2.0.0-')
    expect(next?.describe().operation).toBe('op_1')
    expect((await openReleases({ stateDir, root: staged.path, now: () => 3000 }))?.describe().operation).toBe('op_1')
    // The old one is not what the operation brought.
    expect((await openReleases({ stateDir, root: path, now: () => 3000 }))?.describe().operation).toBeNull()
  })

  it('is forgotten when a person installs a release', async () => {
    const { releases } = await opened()
    const { wanted, bytes } = await make('2.0.0')
    await releases.begin('op_1', await releases.stage(inPieces(bytes), wanted), 60_000)
    await opened('3.0.0')
    expect(await releases.upgrade()).toBeNull()
    expect(readlinkSync(join(stateDir, 'current'))).toContain('3.0.0-')
  })

  it('drops old releases, but the present one, the one before, and what programs run from', async () => {
    const first = await opened('1.0.0')
    for (const version of ['1.1.0', '1.2.0']) {
      const { wanted, bytes } = await make(version)
      await first.releases.stage(inPieces(bytes), wanted)
    }
    const { wanted, bytes } = await make('2.0.0')
    const staged = await first.releases.stage(inPieces(bytes), wanted)
    await first.releases.begin('op_1', staged, 60_000)
    const next = await openReleases({ stateDir, root: staged.path, now: () => 0 })
    await next?.confirm()
    const used = folders().find((name) => name.startsWith('1.1.0-')) ?? ''
    const gone = await next?.prune([join(stateDir, 'releases', used, 'dist/main/a.js'), '/elsewhere/dist/main/a.js'])
    expect(gone?.map((path) => path.replace(/.*releases\/|-.*/g, ''))).toEqual(['1.2.0'])
    expect(
      folders()
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['1.0.0', '1.1.0', '2.0.0'])
    await next?.prune([])
    expect(
      folders()
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['1.0.0', '2.0.0'])
  })
})

it('starts a release as far as it goes without being an agent', async () => {
  const { releases } = await opened()
  const { wanted, bytes } = await make('2.0.0')
  const staged = await releases.stage(inPieces(bytes), wanted)
  const signal = AbortSignal.timeout(30_000)
  // Its Node is a script that only knows its version.
  await expect(releases.check(staged, signal)).rejects.toThrow('cannot load its engines')
  await expect(releases.check({ ...staged, version: '2.0.1' }, signal)).rejects.toThrow('calls itself "cidery 2.0.0"')
  writeFileSync(join(staged.path, 'bin/node'), '#!/bin/sh\necho "Error: no such library" >&2\nexit 127\n')
  await expect(releases.check(staged, signal)).rejects.toThrow('does not start: Error: no such library')
  rmSync(join(staged.path, 'bin/node'))
  await expect(releases.check(staged, signal)).rejects.toThrow('does not start')
})
