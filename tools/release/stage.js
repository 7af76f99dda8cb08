// What every archive holds besides its Node: the program as plain JavaScript, the dashboard, and the packages that they need.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root, run } from '../run.js'

async function must(what, argv, options) {
  const { code, output } = await run(argv, options)
  if (code !== 0) throw new Error(`${what} ended with ${code}:\n${output.trim()}`)
  return output
}

/** Finds its own place through links, so that one may point at it from anywhere; started without a Node on the PATH. */
const launcher = `#!/bin/sh
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
here=$(cd "$(dirname "$self")" && pwd -P)
exec "$here/node" "$here/cidery.js" "$@"
`

/** Types, maps and pages for people: nothing of it is read by a running program. Licences stay. */
function isForReaders(path) {
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (/^(?:licen[cs]e|copying|notice)/i.test(name)) return false
  return (
    /\.(?:ts|cts|mts|map|md|markdown|bare|test\.js)$/.test(name) ||
    /(?:^|\/)(?:test|tests|\.github|prebuilds)\//.test(path) ||
    name.startsWith('.')
  )
}

/** Whether a file below a folder with `node_modules` goes into an archive. */
export function isShipped(path) {
  if (path === 'package-lock.json') return false
  return !path.startsWith('node_modules/') || !isForReaders(path.slice('node_modules/'.length))
}

/** Puts the program itself into a folder, compiled. */
export async function stageCode(folder) {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  for (const name of ['package.json', 'LICENSE', 'README.md', 'bin/cidery.js']) cpSync(join(root, name), join(folder, name))
  writeFileSync(join(folder, 'bin', 'cidery'), launcher, { mode: 0o755 })
  await must('compiling', ['tsc', '-p', 'tsconfig.json', '--noEmitOnError', '--outDir', join(folder, 'dist')])
  for (const file of globSync('src/**/*', { cwd: root }).filter((name) => !/\.tsx?$/.test(name) && statSync(join(root, name)).isFile())) {
    const target = join(folder, 'dist', file.slice('src/'.length))
    mkdirSync(dirname(target), { recursive: true })
    cpSync(join(root, file), target)
  }
}

/** Paths of all files of a folder that go into an archive. */
export function filesOf(folder) {
  const paths = globSync('**/*', { cwd: folder, dot: true })
  return paths.filter((path) => isShipped(path) && statSync(join(folder, path)).isFile()).toSorted()
}

/** Makes the common part of all archives in a folder; resolves with the paths of its files. */
export async function stageProgram(folder) {
  await stageCode(folder)
  const web = ['vite', 'build', 'web', '--logLevel', 'warn', '--emptyOutDir', '--outDir', join(folder, 'web', 'dist')]
  await must('building the dashboard', web)
  // Exactly what the lock file says, checked by npm against its digests.
  cpSync(join(root, 'package-lock.json'), join(folder, 'package-lock.json'))
  const install = ['npm', 'ci', '--omit=dev', '--ignore-scripts', '--no-fund', '--no-audit', '--prefer-offline']
  await must('installing the packages', install, { cwd: folder })
  return filesOf(folder)
}

/** `{ version, commit, mtime }` of the sources: commit with `-dirty` when something differs from it, and its time for all files. */
export async function sourceOf() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  if (!existsSync(join(root, '.git'))) return { version, commit: null, mtime: new Date(0) }
  const head = (await must('git', ['git', 'log', '-1', '--format=%H %ct'])).trim().split(' ')
  const isDirty = (await must('git', ['git', 'status', '--porcelain'])).trim() !== ''
  return { version, commit: `${head[0]}${isDirty ? '-dirty' : ''}`, mtime: new Date(Number(head[1]) * 1000) }
}
