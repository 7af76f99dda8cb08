import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

const images = join(import.meta.dirname, '../../images')
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')
const made: string[] = []
const servers: Server[] = []

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-image-test-'))
  made.push(directory)
})
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})
afterAll(() => Promise.all(made.map((path) => rm(path, { recursive: true, force: true }))))

const cidery = (args: readonly string[], options: CliOptions = {}) => runCli(['image', ...args], { cwd: directory, ...options })

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function recipe(lines: string): Promise<void> {
  await writeFile(join(directory, 'r.yaml'), `name: r\nversion: "1"\nengine: qemu\nguest: { os: debian, release: "12" }\n${lines}`)
}

const lockOf = async () =>
  JSON.parse(await readFile(join(directory, 'r.lock.json'), 'utf8')) as { base: object; downloads: object[]; packages: object[] }

/** A mirror of Debian with two packages, a file to download, and indexes of other managers. */
async function world(file: Uint8Array): Promise<string> {
  const packages = gzipSync('Package: gcc\nStatus: x\nVersion: 4:12.2.0-3\n\nPackage: gcc-12\nVersion: 12.2.0-14\n')
  const answers: Readonly<Record<string, Uint8Array | string>> = {
    '/debian/dists/bookworm/InRelease': 'Suite: oldstable\n',
    '/debian/dists/bookworm/main/binary-amd64/Packages.gz': packages,
    '/file': file,
    '/npm/@scope%2ftool/latest': '{ "version": "7.1.0" }',
    '/pip/meson/json': '{ "info": { "version": "1.8.2" } }',
    '/cargo/ri/pg/ripgrep': '{"vers":"14.1.0","yanked":false}\n{"vers":"14.1.1","yanked":false}\n{"vers":"14.2.0","yanked":true}\n',
  }
  return serve((request, response) => {
    const answer = answers[request.url ?? '']
    if (request.url === '/moved') response.writeHead(302, { location: '/file' }).end()
    else if (answer === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-length': answer.length }).end(answer)
  })
}

describe('cidery image show', () => {
  it('prints the table of tools with their versions and checks, and fetches nothing [001-74]', async () => {
    const { code, stdout, stderr } = await cidery(['show', join(images, 'macos-15.image.js')])
    expect([code, stderr]).toEqual([0, ''])
    const table = stdout.slice(stdout.indexOf('TOOL'))
    const software =
      'ninja pkg-config ccache Python_3.11 Python_3.12 Go Rust Homebrew npm Yarn pip cargo make autoconf automake libtool meson git gh curl wget jq tree htop tmux screen'.split(
        ' ',
      )
    for (const tool of software) expect(table).toMatch(new RegExp(`^${tool.replace('_', ' ')} +\\S.* {2}\\S`, 'm'))
    expect(table).toMatch(/^LLVM\/Clang +19\.1\.7 +\S*clang --version$/m)
  })

  it('prints identities as JSON where the lock is full', async () => {
    const { code, stdout } = await cidery(['show', join(images, 'debian-12.yaml'), '--output', 'json'])
    expect(code).toBe(0)
    const view = JSON.parse(stdout) as { schemaVersion: number; identity: string; layers: { identity: string }[] }
    expect(view).toMatchObject({ schemaVersion: 1, name: 'debian-12', lock: { there: true, lacks: [] }, image: null })
    for (const identity of [view.identity, ...view.layers.map((layer) => layer.identity)]) expect(identity).toMatch(/^[0-9a-f]{64}$/)
  })

  it('names an image for a project: its version in the order that is asked for, and its repository [002-05] [002-08] [002-09]', async () => {
    const project = join(directory, 'app')
    await mkdir(project)
    const git = (...words: string[]) =>
      execFileSync('git', ['-C', project, '-c', 'user.name=x', '-c', 'user.email=x@example.com', ...words], { stdio: 'ignore' })
    const show = async (...words: string[]) => {
      const run = await cidery(['show', join(images, 'macos-14.image.js'), '--project', 'app', '--output', 'json', ...words])
      return run.code === 0 ? (JSON.parse(run.stdout) as { image: object }).image : run.stderr
    }
    git('init', '-q')
    expect(await show()).toContain(
      'the project has no version: CMakeLists.txt is not there, package.json is not there, git describe --tags is not there',
    )
    await writeFile(join(project, 'package.json'), '{ "version": "1.2.17" }')
    expect(await show()).toContain('no git remote')
    git('remote', 'add', 'origin', 'git@github.com:Acme/app.git')
    git('commit', '-q', '--allow-empty', '-m', 'x')
    git('tag', 'v1.2.18')
    expect(await show()).toEqual({
      name: 'bun-build-macos-14-1.2.17-bootstrap-3.6',
      version: '1.2.17',
      versionFrom: 'package',
      registry: 'ghcr.io/acme/app/macos-14',
    })
    expect(await show('--version-from', 'git,package', '--name', 'bun-build-macos-{version}')).toMatchObject({
      name: 'bun-build-macos-1.2.18',
      versionFrom: 'git',
    })
    expect(await show('--project-version', '2.0.0')).toMatchObject({
      name: 'bun-build-macos-14-2.0.0-bootstrap-3.6',
      versionFrom: 'option',
    })
    expect(await show('--version-from', 'svn')).toContain("there is no place 'svn'")
    expect(await show('--name', 'macos')).toContain('it has no field')
  })

  it('names file, line, field and what is accepted', async () => {
    await recipe('base: { debain: bookworm }\nsteps: [{ name: a, shell: "true" }]\n')
    const { code, stderr } = await cidery(['show', 'r.yaml'])
    expect(code).toBe(1)
    expect(stderr).toContain('✗ the recipe is not accepted:')
    expect(stderr).toContain(
      'r.yaml:5:9 base.debain: unknown field "debain"; did you mean "debian"? (accepted: oci, ipsw, sha256, debian, mirror, image)',
    )
    expect(stderr).not.toContain(directory)
  })
})

describe('cidery image lock', () => {
  it('writes digests of bytes that it read, and versions of packages', async () => {
    const file = randomBytes(3_000_000)
    const url = await world(file)
    await recipe(`base: { debian: bookworm, mirror: "${url}/debian" }
steps:
  - { name: a, packages: { manager: apt, list: [gcc, gcc-12@12.2.0-14] } }
  - { name: b, packages: { manager: npm, list: ["@scope/tool", yarn@1.22.22] } }
  - { name: c, packages: { manager: pip, list: [meson] } }
  - { name: d, packages: { manager: cargo, list: [ripgrep] } }
  - { name: e, download: { url: "${url}/moved", to: /tmp/file } }
`)
    const indexes = ['npm', 'pip', 'cargo'].flatMap((name) => ['--index', `${name}=${url}/${name}`])
    const run = await cidery(['lock', 'r.yaml', ...indexes])
    expect(run.stderr).not.toContain('✗')
    expect([run.code, run.stdout]).toEqual([0, '✓ r.lock.json written: 1 downloads, 6 packages\n'])
    expect(await lockOf()).toEqual({
      format: 1,
      recipe: 'r',
      base: { name: `bookworm of ${url}/debian`, digest: `sha256:${sha256('Suite: oldstable\n')}` },
      downloads: [{ url: `${url}/moved`, sha256: sha256(file), sizeBytes: file.length }],
      packages: [
        { manager: 'apt', name: 'gcc', version: '4:12.2.0-3' },
        { manager: 'apt', name: 'gcc-12', version: '12.2.0-14' },
        { manager: 'cargo', name: 'ripgrep', version: '14.1.1' },
        { manager: 'npm', name: '@scope/tool', version: '7.1.0' },
        { manager: 'npm', name: 'yarn', version: '1.22.22' },
        { manager: 'pip', name: 'meson', version: '1.8.2' },
      ],
    })
    expect((await cidery(['lock', 'r.yaml', '--check'])).code).toBe(0)
    expect((await cidery(['lock', 'r.yaml', ...indexes])).stdout).toContain('is as it was')
    // What a killed one left goes with the next that writes.
    await writeFile(join(directory, 'r.lock.json.part-999999999'), '{')
    await rm(join(directory, 'r.lock.json'))
    expect((await cidery(['lock', 'r.yaml', ...indexes])).stdout).toContain('written')
    expect((await readdir(directory)).sort()).toEqual(['r.lock.json', 'r.yaml'])
  })

  it('--check says what is missing, with exit code 3, and asks nobody', async () => {
    await recipe(
      'base: { debian: bookworm, mirror: "http://127.0.0.1:1/debian" }\nsteps: [{ name: a, packages: { manager: apt, list: [gcc] } }]\n',
    )
    const run = await cidery(['lock', 'r.yaml', '--check', '--output', 'json'])
    expect(run.code).toBe(3)
    expect(JSON.parse(run.stdout)).toMatchObject({
      full: false,
      lacks: ['the digest of bookworm of http://127.0.0.1:1/debian is not there', 'the version of gcc of apt is not there'],
    })
  })

  const download = (url: string) => recipe(`base: { image: below }\nsteps: [{ name: a, download: { url: "${url}", to: /tmp/a } }]\n`)
  const expectRefused = async (words: readonly string[], problem: string) => {
    const run = await cidery(['lock', 'r.yaml', ...words])
    expect(run.stderr).toContain(problem)
    expect(run.code).toBe(1)
    // No half of a lock, and no old one that would seem to be of these bytes.
    expect(await readdir(directory)).toEqual(['r.yaml'])
  }

  it('refuses plain HTTP to another machine, at once and behind a redirect', async () => {
    await download('http://example.com/a')
    await expectRefused([], 'http://example.com/a is not over TLS')
    const url = await serve((_, response) => response.writeHead(301, { location: 'http://example.com/b' }).end())
    await download(`${url}/a`)
    await expectRefused([], `${url}/a leads to http://example.com/b, which is not over TLS`)
  })

  it('refuses what is larger than it may be, said or not', async () => {
    const said = await serve((_, response) => response.writeHead(200, { 'content-length': 3_000_000 }).write('x'))
    await download(said)
    await expectRefused(['--max-size', '2MiB'], 'is larger than 2 MiB')
    const unsaid = await serve((_, response) => response.end(randomBytes(3_000_000)))
    await download(unsaid)
    await expectRefused(['--max-size', '2MiB'], 'is larger than 2 MiB')
  })

  it('refuses what is not whole in time, breaks off, is packed on the way, or is not there', async () => {
    await download(await serve((_, response) => response.writeHead(200, { 'content-length': 10 }).write('x')))
    await expectRefused(['--timeout', '300ms'], 'was not there whole within 300ms')
    const broken = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('x', () => response.destroy())
    })
    await download(broken)
    await expectRefused([], 'could not be downloaded')
    await download(await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'))))
    await expectRefused([], 'sends it as gzip')
    await download(await serve((_, response) => response.writeHead(404).end()))
    await expectRefused([], 'answered 404')
    await download(await serve((request, response) => response.writeHead(302, { location: `${request.url ?? ''}x` }).end()))
    await expectRefused([], 'more than 10 redirects')
  })

  it('refuses a package that there is none of, a restore image with other bytes, and a tag that it cannot resolve', async () => {
    const url = await world(Buffer.from('restore'))
    await recipe(`base: { debian: bookworm, mirror: "${url}/debian" }\nsteps: [{ name: a, packages: { manager: apt, list: [gccc] } }]\n`)
    await expectRefused([], "there is no package gccc in Debian's bookworm")
    const macos = (base: string) =>
      writeFile(
        join(directory, 'r.yaml'),
        `name: r\nversion: "1"\nengine: tart\nguest: { os: macos, release: "15" }\nbase: ${base}\nsteps: [{ name: a, shell: "true" }]\n`,
      )
    await macos(`{ ipsw: "${url}/file", sha256: "${'0'.repeat(64)}" }`)
    await expectRefused([], `has the SHA-256 ${sha256('restore')}, and the recipe names 000`)
    const registry = (await serve((_, response) => response.writeHead(404).end())).replace('http://', '')
    await macos(`{ oci: "${registry}/acme/macos:latest" }`)
    await expectRefused([], `the registry has no image ${registry}/acme/macos:latest`)
  })

  it('asks the registry of a base for the digest that its tag leads to', async () => {
    const digest = `sha256:${sha256('manifest')}`
    const headers = { 'docker-content-digest': digest, 'content-type': 'application/vnd.oci.image.manifest.v1+json', 'content-length': '8' }
    const registry = (await serve((_, response) => response.writeHead(200, headers).end())).replace('http://', '')
    const base = `base: { oci: "${registry}/acme/macos:latest" }`
    const lines = `name: r\nversion: "1"\nengine: tart\nguest: { os: macos, release: "15" }\n${base}\nsteps: [{ name: a, shell: "true" }]\n`
    await writeFile(join(directory, 'r.yaml'), lines)
    expect((await cidery(['lock', 'r.yaml'])).code).toBe(0)
    expect((await lockOf()).base).toEqual({ name: `${registry}/acme/macos:latest`, digest })
  })

  it('goes away at once when it is interrupted, and leaves nothing', async () => {
    let press: () => void = () => undefined
    await download(
      await serve((_, response) => {
        response.writeHead(200, { 'content-length': 10 }).write('x')
        press()
      }),
    )
    const run = await cidery(['lock', 'r.yaml'], { interrupt: (how) => (press = how) })
    expect(run.stderr).toContain('interrupted; nothing was written')
    expect(run.code).not.toBe(0)
    expect(await readdir(directory)).toEqual(['r.yaml'])
  })
})
