import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gitMirrors } from '../../src/drivers/mirrors/git/git-mirrors.ts'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import type { SourceMirrors } from '../../src/ports/mirrors.ts'
import type { Processes } from '../../src/ports/processes.ts'

let folder: string
let origin: string
let mirrors: SourceMirrors
const signal = new AbortController().signal

function git(...words: string[]): string {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@b',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@b',
  }
  return execFileSync('git', ['-C', origin, ...words], { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

function commit(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(origin, name), text)
  git('add', '-A')
  git('commit', '-qm', 'change')
  return git('rev-parse', 'HEAD')
}

async function filesOf(url: string, id: string, from: SourceMirrors = mirrors): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  const entries = extract()
  const fed = Readable.from(await from.open(url, id, signal))
  fed.on('error', (error) => entries.destroy(error))
  fed.pipe(entries)
  for await (const entry of entries) {
    let text = ''
    for await (const piece of entry) text += String(piece)
    files[entry.header.name] = text
  }
  return files
}

function mirrorFolders(): readonly string[] {
  return readdirSync(join(folder, 'mirrors')).map((name) => join(folder, 'mirrors', name))
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-mirrors-'))
  // Readable for everybody, as a repository of a job's URL has to be.
  chmodSync(folder, 0o755)
  origin = join(folder, 'origin')
  mkdirSync(origin, { mode: 0o755 })
  git('init', '-q', '-b', 'main')
  mirrors = gitMirrors({ folder: join(folder, 'mirrors'), processes: new LocalProcesses(), fetchMs: 30_000 })
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('a mirror of a git repository', () => {
  it('gives exactly the files of a commit, without .git, whatever its attributes leave out', async () => {
    const first = commit({ 'a.txt': 'one', '.gitattributes': 'a.txt export-ignore\nb.txt export-subst\n', 'b.txt': '$Format:%H$' })
    commit({ 'a.txt': 'two', 'c.txt': 'later' })
    expect(await filesOf(`file://${origin}`, first)).toEqual({
      '.gitattributes': 'a.txt export-ignore\nb.txt export-subst\n',
      'a.txt': 'one',
      'b.txt': '$Format:%H$',
    })
  })

  it('is private, cannot be wedged by edits, and is made anew when it is broken or its URL changed [003-48]', async () => {
    const url = `file://${origin}`
    const first = commit({ 'a.txt': 'one' })
    await filesOf(url, first)
    const [mirror = ''] = mirrorFolders()
    expect(statSync(join(folder, 'mirrors')).mode & 0o777).toBe(0o700)
    expect(statSync(mirror).mode & 0o777).toBe(0o700)
    // No work tree is there to be edited; what is edited of the mirror itself does not stop the next fetch.
    expect(readdirSync(mirror)).not.toContain('a.txt')
    writeFileSync(join(mirror, 'HEAD'), 'nonsense')
    writeFileSync(join(mirror, 'shallow.lock'), '')
    writeFileSync(join(mirror, 'packed-refs.lock'), '')
    const second = commit({ 'a.txt': 'two' })
    expect(await filesOf(url, second)).toEqual({ 'a.txt': 'two' })
    // History that was rewritten.
    git('checkout', '-q', '--orphan', 'other')
    git('branch', '-q', '-D', 'main')
    const third = commit({ 'a.txt': 'three' })
    git('branch', '-q', '-M', 'main')
    expect(await filesOf(url, third)).toEqual({ 'a.txt': 'three' })
    // A mirror that says it is of another URL is not believed.
    writeFileSync(join(mirror, 'cidery-url'), 'file:///elsewhere')
    rmSync(join(mirror, 'objects'), { recursive: true })
    expect(await filesOf(url, third)).toEqual({ 'a.txt': 'three' })
    expect(mirrorFolders().length).toBe(1)
  })

  it('goes when no job asked for it for long', async () => {
    const id = commit({ 'a.txt': 'one' })
    await filesOf(`file://${origin}`, id)
    const [old = ''] = mirrorFolders()
    utimesSync(join(old, 'cidery-url'), 1, 1)
    const later = gitMirrors({ folder: join(folder, 'mirrors'), processes: new LocalProcesses() })
    await filesOf(`file://${origin}/.git`, id, later)
    expect(mirrorFolders().length).toBe(1)
    expect(mirrorFolders()).not.toContain(old)
  })

  it('needs no network for a commit that it has', async () => {
    const id = commit({ 'a.txt': 'one' })
    await filesOf(`file://${origin}`, id)
    rmSync(join(origin, '.git'), { recursive: true })
    expect(await filesOf(`file://${origin}`, id)).toEqual({ 'a.txt': 'one' })
  })

  it('tells a commit that is not there from a repository that does not answer', async () => {
    commit({ 'a.txt': 'one' })
    await expect(mirrors.open(`file://${origin}`, 'b'.repeat(40), signal)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(mirrors.open(`file://${origin}/nowhere`, 'b'.repeat(40), signal)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(mirrors.open('http://127.0.0.1:1/x.git', 'b'.repeat(40), signal)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await expect(mirrors.open('ext::sh -c id', 'b'.repeat(40), signal)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('asks again when git does not find what is being packed anew, and says so when it never does', async () => {
    const id = commit({ 'a.txt': 'one' })
    const url = `file://${origin}`
    const real = new LocalProcesses()
    let archives = 0
    let failing = 2
    const processes: Processes = {
      start(launch, options) {
        if (!launch.argv.includes('archive')) return real.start(launch, options)
        archives += 1
        if (archives > failing) return real.start(launch, options)
        return real.start({ ...launch, argv: ['sh', '-c', 'echo "fatal: not a tree object" >&2; exit 128'] }, options)
      },
    }
    const disturbed = gitMirrors({ folder: join(folder, 'disturbed'), processes })
    expect(await filesOf(url, id, disturbed)).toEqual({ 'a.txt': 'one' })
    expect(archives).toBe(3)
    failing = Number.POSITIVE_INFINITY
    await expect(filesOf(url, id, disturbed)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('not a tree') })
    expect(archives).toBe(8)
  })

  it('serves many jobs at once, also while git tidies up the repository [X-08]', async () => {
    const ids: string[] = []
    for (let number = 0; number < 12; number += 1) ids.push(commit({ 'a.txt': `version ${number}` }))
    const url = `file://${origin}`
    await filesOf(url, ids[0] ?? '')
    const [mirror = ''] = mirrorFolders()
    const tidying = [origin, mirror].map((path) =>
      spawn(
        'sh',
        [
          '-c',
          'for i in 1 2 3 4 5 6; do git --git-dir "$0" gc --prune=now -q; git --git-dir "$0" repack -adfq; done',
          path === origin ? join(origin, '.git') : path,
        ],
        { stdio: 'ignore' },
      ),
    )
    const done = tidying.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (let round = 0; round < 4; round += 1) {
      const found = await Promise.all(ids.map((id) => filesOf(url, id)))
      expect(found.map((files) => files['a.txt'])).toEqual(ids.map((_, number) => `version ${number}`))
    }
    await Promise.all(done)
  })

  it.runIf(process.geteuid?.() === 0)('does not read for a job what only root may read', async () => {
    const id = commit({ 'a.txt': 'secret' })
    chmodSync(join(origin, '.git', 'objects'), 0o700)
    await expect(mirrors.open(`file://${origin}`, id, signal)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
