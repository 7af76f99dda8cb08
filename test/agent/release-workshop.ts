import { spawnSync } from 'node:child_process'
import { existsSync, globSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adoptRelease } from '../../src/drivers/releases/folder/adopt.ts'
import { makeManifest, placed, sha256, writeArchive } from '../../tools/release/archive.js'
import { filesOf, isShipped, stageCode } from '../../tools/release/stage.js'
import { root } from '../../tools/run.js'

export interface PackedRelease {
  readonly archive: string
  /** SHA-256 of its manifest. */
  readonly release: string
  readonly commit: string
}

export interface ReleaseChange {
  readonly version: string
  readonly platform?: string
  /** Files with another content than in this checkout. */
  readonly files?: Readonly<Record<string, string>>
}

/** Files of the packages that the program needs, as they are installed here already; none of the page that shows the API. */
async function installedPackages(): Promise<readonly string[]> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean; readonly devOptional?: boolean }>>
  }
  const needed = Object.entries(lock.packages).filter(
    ([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional,
  )
  const names = needed.map(([path]) => path).filter((path) => !path.includes('swagger-ui') && !/\/node_modules\//.test(path.slice(13)))
  return names
    .flatMap((path) => globSync(`${path}/**/*`, { cwd: root }))
    .filter((path) => isShipped(path) && statSync(join(root, path)).isFile())
}

/** Makes archives of this checkout as `npm run dist` does. Their Node is a script that starts the one of this test: 150 MB less each. */
export class ReleaseWorkshop {
  #folder = ''
  /** `[path in the archive, path on disk]`. */
  #files: readonly (readonly [string, string])[] = []
  #made = 0

  async open(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'cidery-workshop-'))
    const program = join(this.#folder, 'program')
    await stageCode(program)
    await writeFile(join(program, 'bin', 'node'), `#!/bin/sh\nexec ${process.execPath} "$@"\n`)
    await chmod(join(program, 'bin', 'node'), 0o755)
    this.#files = [...placed(program, filesOf(program)), ...placed(root, await installedPackages())]
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** The source of a compiled file, for a change of it. */
  read(path: string): Promise<string> {
    return readFile(join(this.#folder, 'program', path), 'utf8')
  }

  async pack({ version, platform = `${process.platform}-${process.arch}`, files = {} }: ReleaseChange): Promise<PackedRelease> {
    this.#made += 1
    const own = join(this.#folder, `changed-${this.#made}`)
    await mkdir(own)
    const manifest = JSON.parse(await this.read('package.json')) as Record<string, unknown>
    const changed = { ...files, 'package.json': JSON.stringify({ ...manifest, version }) }
    const sources = new Map(this.#files)
    for (const [at, [path, text]] of Object.entries(changed).entries()) {
      await writeFile(join(own, String(at)), text)
      sources.set(path, join(own, String(at)))
    }
    const commit = sha256(Buffer.from(version)).slice(0, 40)
    const described = makeManifest({ version, commit, platform, node: process.versions.node, files: [...sources] })
    const archive = join(this.#folder, `cidery-${version}-${this.#made}-${platform}.tar.gz`)
    await writeArchive(archive, { folder: `cidery-${version}`, manifest: described, files: [...sources], mtime: new Date(0), level: 1 })
    return { archive, release: sha256(described), commit }
  }

  /** Unpacks an archive as a person would; gives its folder. */
  async unpack({ archive }: PackedRelease): Promise<string> {
    this.#made += 1
    const into = join(this.#folder, `unpacked-${this.#made}`)
    await mkdir(into)
    mustRun(['tar', '-x', '-z', '-f', archive, '-C', into, '--strip-components=1'])
    return into
  }

  /** Installs a release for an agent as `agent install` does; once, and for every further agent by links to the same files. */
  async install(packed: PackedRelease, stateDir: string): Promise<void> {
    const template = join(this.#folder, `installed-${packed.release}`)
    if (!existsSync(template)) await adoptRelease(await this.unpack(packed), template)
    mustRun(['cp', '-a', '-l', `${template}/.`, stateDir])
  }
}

function mustRun(argv: readonly [string, ...string[]]): void {
  const { status, stderr } = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}
