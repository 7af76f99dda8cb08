import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { extract } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { walkDirectory } from '../../src/cli/source/walk-directory.ts'
import { startApiDouble } from '../doubles/api-double.ts'
import type { ApiDouble } from '../doubles/api-double.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

let directory: string
let double: ApiDouble

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-source-test-'))
  double = await startApiDouble()
})

afterEach(async () => {
  await double.close()
  await rm(directory, { recursive: true, force: true })
})

async function write(path: string, content = `${path}\n`): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true })
  await writeFile(join(directory, path), content)
}

async function walked(root = directory): Promise<{ readonly files: readonly string[]; readonly leftOut: readonly string[] }> {
  const files: string[] = []
  const leftOut: string[] = []
  for await (const entry of walkDirectory({ directory: root, ignoreCase: false, leftOut: (path) => leftOut.push(path) })) {
    if (entry.kind !== 'directory') files.push(entry.path)
  }
  return { files, leftOut }
}

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { ...options, env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token } })
}

/** Names and contents of the archive that the last job got. */
async function uploaded(): Promise<ReadonlyMap<string, { readonly type: string; readonly content: string; readonly mode: number }>> {
  const job = [...double.state.jobs.values()].at(-1)
  if (job?.spec.source.kind !== 'upload') throw new Error('the job has no uploaded source')
  const entries = new Map<string, { readonly type: string; readonly content: string; readonly mode: number }>()
  const reader = extract()
  reader.end(zstdDecompressSync(double.state.blobs.get(job.spec.source.blob) ?? new Uint8Array()))
  for await (const entry of reader) {
    let content = ''
    for await (const chunk of entry as AsyncIterable<Buffer>) content += chunk.toString('utf8')
    entries.set(entry.header.name, {
      type: entry.header.type,
      content: entry.header.type === 'symlink' ? entry.header.linkname : content,
      mode: entry.header.mode,
    })
  }
  return entries
}

function git(...args: string[]): string {
  return execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: directory },
  })
}

describe('walkDirectory', () => {
  it('finds what git would find, through nested rules, exceptions and anchors', async () => {
    await write('.gitignore', '*.o\n/build/\nlogs/\n!keep.o\ndoc/*.txt\n**/deep/*.tmp\nTrailing\\ \n#comment\n\\#hash\n')
    await write('sub/.gitignore', '!*.o\nlocal\n')
    await write('sub/deeper/.gitignore', '*\n!.gitignore\n!shown.c\n')
    const files =
      'a.c a.o keep.o build/x sub/build/x sub/b.o sub/local sub/deeper/shown.c sub/deeper/hidden.c logs/l doc/a.txt doc/b/a.txt x/deep/t.tmp #hash .hidden.c B.O'
    for (const path of files.split(' ')) await write(path)
    git('init', '-q')
    const expected = git('ls-files', '-z', '--cached', '--others', '--exclude-standard')
      .split('\0')
      .filter((path) => path !== '')
    expect([...(await walked()).files].toSorted()).toEqual(expected.toSorted())
  })

  it('obeys the rules above a directory inside a repository, and .git/info/exclude', async () => {
    await write('.gitignore', '/app/skip.txt\n*.log\n')
    for (const path of ['app/skip.txt', 'app/a.log', 'app/keep.txt', 'app/local.txt']) await write(path)
    git('init', '-q')
    await write('.git/info/exclude', 'local.txt\n')
    expect((await walked(join(directory, 'app'))).files).toEqual(['keep.txt'])
  })

  it('takes tracked files even when a rule names them, as git does', async () => {
    await write('.gitignore', 'vendor/\n*.gen\n')
    for (const path of ['vendor/lib.c', 'vendor/other.c', 'a.gen', 'b.gen', 'deep/vendor/x.c']) await write(path)
    git('init', '-q')
    git('add', '-f', 'vendor/lib.c', 'a.gen')
    for (const version of ['2', '4']) {
      git('update-index', '--index-version', version)
      const expected = git('ls-files', '-z', '--cached', '--others', '--exclude-standard')
        .split('\0')
        .filter((path) => path !== '')
      expect(expected).toContain('vendor/lib.c')
      expect([...(await walked()).files].toSorted()).toEqual(expected.toSorted())
    }
  })

  it('never follows a link out of the directory, and says what it left out', async () => {
    await write('a.txt')
    await write('sub/b.txt')
    await symlink('a.txt', join(directory, 'good'))
    await symlink('../a.txt', join(directory, 'sub', 'up'))
    await symlink('/etc/passwd', join(directory, 'absolute'))
    await symlink('../outside', join(directory, 'climbs'))
    await symlink('sub/../../x', join(directory, 'hidden-climb'))
    await symlink('.', join(directory, 'self'))
    await symlink('self/..', join(directory, 'through'))
    const { files, leftOut } = await walked()
    expect(files).toEqual(['a.txt', 'good', 'self', 'sub/b.txt', 'sub/up'])
    expect(leftOut.toSorted()).toEqual(['absolute', 'climbs', 'hidden-climb', 'through'])
  })
})

describe('run --source', () => {
  it('uploads a directory with its contents, modes and links', async () => {
    await write('.gitignore', '*.o\n')
    await write('src/main.c', 'int main;')
    await write('src/main.o')
    await write('name with spaces/ünï.txt', 'x')
    await write(`${'long/'.repeat(30)}file.txt`, 'deep')
    await mkdir(join(directory, 'empty'))
    await symlink('src/main.c', join(directory, 'link'))
    execFileSync('chmod', ['755', join(directory, 'src/main.c')])
    const run = await cidery(['run', '--source', directory, '--', 'true'])
    expect(run.code).toBe(0)
    const entries = await uploaded()
    expect(entries.get('src/main.c')).toEqual({ type: 'file', content: 'int main;', mode: 0o755 })
    expect(entries.get('link')).toMatchObject({ type: 'symlink', content: 'src/main.c' })
    expect(entries.get('name with spaces/ünï.txt')?.content).toBe('x')
    expect(entries.get(`${'long/'.repeat(30)}file.txt`)?.content).toBe('deep')
    expect([...entries.keys()].map((name) => name.replace(/\/$/, ''))).toContain('empty')
    expect(entries.has('src/main.o')).toBe(false)
  })

  it('names a directory of the host instead when told to mount, and says when there is none to mount', async () => {
    await write('a.txt')
    const run = await cidery(['run', '--source', directory, '--transfer', 'mount', '--', 'true'])
    expect(run.code).toBe(0)
    expect([...double.state.jobs.values()].at(-1)?.spec.source).toEqual({ kind: 'mount', path: directory })
    for (const words of [['--source', 'none'], ['--source', `https://example.com/a.git#${'0'.repeat(40)}`], []]) {
      const refused = await cidery(['run', ...words, '--transfer', 'mount', '--', 'true'])
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--transfer mount needs a directory')])
    }
    expect((await cidery(['run', '--source', directory, '--transfer', 'copy', '--', 'true'])).stderr).toContain('one of sync, mount')
  })

  it('sends the same files once: equal directories give equal archives', async () => {
    await write('a.txt')
    await utimes(join(directory, 'a.txt'), 1_700_000_000, 1_700_000_000)
    await cidery(['run', '--source', directory, '--', 'true'])
    const sent = double.requests.filter(({ method }) => method === 'PATCH').length
    await cidery(['run', '--source', directory, '--', 'true'])
    expect(sent).toBe(1)
    expect(double.requests.filter(({ method }) => method === 'PATCH').length).toBe(sent)
  })

  it('sends every byte once when answers get lost in the middle of an upload', async () => {
    const noise = Buffer.from(Array.from({ length: 9 * 1024 * 1024 }, () => Math.floor(Math.random() * 256)))
    await writeFile(join(directory, 'noise.bin'), noise)
    let answers = 0
    double.faults.loseAnswer = ({ path }) => path.startsWith('/uploads') && (answers += 1) % 2 === 1
    const run = await cidery(['run', '--source', directory, '--', 'true'])
    expect(run.code).toBe(0)
    expect(answers).toBeGreaterThan(4)
    const job = [...double.state.jobs.values()].at(-1)
    const blob = job?.spec.source.kind === 'upload' ? double.state.blobs.get(job.spec.source.blob) : undefined
    expect(zstdDecompressSync(blob ?? new Uint8Array()).includes(noise)).toBe(true)
  })

  it('leaves nothing in the temporary directory', async () => {
    await write('a.txt')
    const before = execFileSync('sh', ['-c', `ls ${tmpdir()} | grep -c cidery-source- || true`], { encoding: 'utf8' })
    await cidery(['run', '--source', directory, '--', 'true'])
    expect(execFileSync('sh', ['-c', `ls ${tmpdir()} | grep -c cidery-source- || true`], { encoding: 'utf8' })).toBe(before)
  })
})

describe('artifacts', () => {
  const evil = (path: string) => {
    double.state.play = () => ({
      attempts: [
        {
          pieces: [],
          outcome: { kind: 'exited', code: 0 },
          artifacts: [
            { path: 'good/file.txt', content: 'fine', mode: 0o755 },
            { path, content: 'evil' },
          ],
        },
      ],
    })
  }

  it('are brought into the directory with content and mode', async () => {
    evil('other.txt')
    const run = await cidery(['run', '--artifact', '**', '--artifacts-dir', join(directory, 'out'), '--', 'true'])
    expect(run.code).toBe(0)
    expect(await readFile(join(directory, 'out/good/file.txt'), 'utf8')).toBe('fine')
    expect(execFileSync('stat', ['-c', '%a', join(directory, 'out/good/file.txt')], { encoding: 'utf8' })).toBe('755\n')
  })

  it('are never written through a link or over what lies outside', async () => {
    await write('victim/file.txt', 'precious')
    await write('target.txt', 'precious')
    await mkdir(join(directory, 'out'))
    await symlink('../victim', join(directory, 'out', 'good'))
    await symlink('../target.txt', join(directory, 'out', 'other.txt'))
    evil('other.txt')
    const run = await cidery(['run', '--artifact', '**', '--artifacts-dir', join(directory, 'out'), '--', 'true'])
    expect(run.code).toBe(125)
    expect(run.stderr).toContain('is in the way')
    expect(await readFile(join(directory, 'victim/file.txt'), 'utf8')).toBe('precious')
    expect(await readFile(join(directory, 'target.txt'), 'utf8')).toBe('precious')
    expect(await readFile(join(directory, 'out/other.txt'), 'utf8')).toBe('evil')
  })

  it('are refused when their bytes are not the recorded ones', async () => {
    evil('other.txt')
    await cidery(['run', '--artifact', '**', '--', 'true'])
    for (const digest of double.state.blobs.keys()) double.state.blobs.set(digest, Buffer.from('foul'))
    const id = [...double.state.jobs.keys()].at(-1) ?? ''
    const run = await cidery(['job', 'artifacts', id, '--download', join(directory, 'out')])
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('digest')
    await expect(readFile(join(directory, 'out/good/file.txt'))).rejects.toThrow(/ENOENT/)
  })
})
