// `npm run pack-check`: what would be published works where it is installed: build → pack → install in a folder elsewhere → run.
// `--no-build` packs what lies in dist/.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endOnSignals, root, run } from './run.js'

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const place = mkdtempSync(join(tmpdir(), 'cidery-pack-'))
process.on('exit', () => rmSync(place, { recursive: true, force: true, maxRetries: 3 }))

function fail(what, output) {
  console.error(output.trim())
  console.error(`The package is not sound: ${what}.`)
  process.exit(1)
}

async function step(what, argv, options) {
  const { code, output } = await run(argv, options)
  if (code !== 0) fail(`${what} ended with ${code}`, output)
  console.log(`ok: ${what}`)
  return output
}

/** Runs the installed command on this Node, with nothing of the checkout on the PATH. */
async function cidery(line, expected) {
  const bin = join(place, 'elsewhere', 'node_modules', '.bin', 'cidery')
  const output = await step(`cidery ${line}`, [process.execPath, bin, ...line.split(' ')], { cwd: place, timeoutMs: 60_000 })
  if (!expected.test(output)) fail(`cidery ${line} printed something else`, output)
}

function checkContents(files) {
  const names = files.map(({ path }) => path)
  const needed = ['package.json', 'bin/cidery.js', 'dist/main/cidery.js', 'images/debian-12.yaml', 'images/versions.js', 'LICENSE']
  const absent = needed.filter((name) => !names.includes(name))
  const foreign = names.filter((name) => /(?<!\.d)\.tsx?$|\.test\.|^(?:src|test|tools|bench|docs)\//.test(name))
  if (absent.length > 0) fail('it lacks files', absent.join('\n'))
  if (foreign.length > 0) fail('it holds files that are not for users', foreign.join('\n'))
  console.log(`ok: ${names.length} files`)
}

endOnSignals()
if (!process.argv.includes('--no-build')) await step('build', ['node', 'tools/build.js'])
const packed = await step('pack', ['npm', 'pack', '--ignore-scripts', '--silent', '--json', '--pack-destination', place])
const [{ filename, files }] = Object.values(JSON.parse(packed.slice(packed.search(/^[[{]/m))))
checkContents(files)
mkdirSync(join(place, 'elsewhere'))
writeFileSync(join(place, 'elsewhere', 'package.json'), '{ "name": "elsewhere", "version": "1.0.0", "private": true }\n')
const install = ['npm', 'install', '--no-fund', '--no-audit', '--silent', join(place, filename)]
await step('install elsewhere', install, { cwd: join(place, 'elsewhere') })
if (existsSync(join(place, 'elsewhere', 'node_modules', 'vitest'))) fail('it brings development dependencies', 'vitest')
await step('publint', ['publint', '--strict'])
await cidery('--version', new RegExp(manifest.version.replaceAll('.', '\\.')))
await cidery('--help', /cidery/)
// A recipe that is a module is read from where packages are installed, in a process of its own.
await cidery(`image show ${join('elsewhere', 'node_modules', 'cidery', 'images', 'macos-15.image.js')}`, /CMake +3\.30\.5/)
