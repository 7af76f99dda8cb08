import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ReleaseManifest } from '../../src/model/release.ts'
import { nodePackages, nodeVersion } from '../../tools/release/node-binaries.js'
import { root, run } from '../../tools/run.js'

const platform = `${process.platform}-${process.arch}`
const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}
let place: string

beforeAll(() => {
  place = realpathSync(mkdtempSync(join(tmpdir(), 'cidery-dist-test-')))
})

afterAll(() => {
  rmSync(place, { recursive: true, force: true })
})

async function build(into: string): Promise<string> {
  const { code, output } = await run(['node', 'tools/dist.js', '--fast', '--platform', platform, '--into', join(place, into)])
  expect(output).toContain(`cidery-${version}-${platform}.tar.gz`)
  expect(code).toBe(0)
  return readFileSync(join(place, into, 'SHA256SUMS'), 'utf8')
}

it('pins the Node that everything else runs on, for every platform', () => {
  expect(nodeVersion).toBe(devDependencies['node'])
  expect(Object.keys(nodePackages).toSorted()).toEqual(['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64'])
})

it('makes the same bytes from the same sources, and every file is as the manifest says', async () => {
  const sums = await build('first')
  expect(await build('second')).toBe(sums)
  const archive = join(place, 'first', `cidery-${version}-${platform}.tar.gz`)
  expect(sums).toBe(`${createHash('sha256').update(readFileSync(archive)).digest('hex')}  cidery-${version}-${platform}.tar.gz\n`)
  expect((await run(['tar', '-x', '-z', '-f', archive, '-C', place])).code).toBe(0)
  const unpacked = join(place, `cidery-${version}-${platform}`)
  const manifest = ReleaseManifest.parse(JSON.parse(readFileSync(join(unpacked, 'manifest.json'), 'utf8')))
  expect(manifest).toMatchObject({ version, platform, node: nodeVersion })
  expect(manifest.commit).toMatch(/^[0-9a-f]{40}(?:-dirty)?$/)
  for (const [path, { sha256, sizeBytes }] of Object.entries(manifest.files)) {
    const bytes = readFileSync(join(unpacked, path))
    expect([path, bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([path, sizeBytes, sha256])
  }
  const listed = (await run(['tar', '-t', '-z', '-f', archive])).output.trim().split('\n')
  expect(listed.length).toBe(Object.keys(manifest.files).length + 1)
  expect(listed.filter((path: string) => /\/(?:vitest|typescript)\/|\.d\.ts$|\.test\./.test(path))).toEqual([])
})

it('runs where no Node is installed, also through a link', async () => {
  const launcher = join(place, `cidery-${version}-${platform}`, 'bin', 'cidery')
  symlinkSync(launcher, join(place, 'cidery'))
  for (const program of [launcher, join(place, 'cidery')]) {
    const { code, output } = await run(['env', '-i', 'PATH=/usr/bin:/bin', `HOME=${place}`, program, 'version'])
    expect([code, output]).toEqual([0, `cidery ${version}\n`])
  }
})

it('refuses a platform that it does not know', async () => {
  const { code, output } = await run(['node', 'tools/dist.js', '--platform', 'linux-x64,plan9-x64'])
  expect([code, output]).toEqual([1, '--platform plan9-x64: it takes linux-x64, linux-arm64, darwin-arm64, darwin-x64\n'])
})
