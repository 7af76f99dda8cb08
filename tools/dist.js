import { createHash } from 'node:crypto'
// `npm run dist`: one archive per platform that runs where nothing is installed: cidery, its packages, the dashboard, and Node.
//
//   npm run dist                                   all platforms, into release/
//   npm run dist -- --platform linux-x64           only some, comma between them
//   npm run dist -- --into /somewhere --fast       elsewhere; larger, but packed in less time
import { createReadStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { makeManifest, placed, sha256, writeArchive } from './release/archive.js'
import { nodeArchive, nodePackages, nodeVersion } from './release/node-binaries.js'
import { sourceOf, stageProgram } from './release/stage.js'
import { endOnSignals, root, run } from './run.js'

async function digestOf(file) {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(file)) hash.update(piece)
  return hash.digest('hex')
}

/** Node's program and its licence, out of its package. */
async function nodeFiles(platform, place) {
  const into = join(place, `node-${platform}`)
  mkdirSync(into)
  const archive = await nodeArchive(platform)
  const { code, output } = await run(['tar', '-x', '-z', '-f', archive, '-C', into, 'package/bin/node', 'package/LICENSE'])
  if (code !== 0) throw new Error(`${archive} could not be unpacked: ${output.trim()}`)
  return [
    ['bin/node', join(into, 'package', 'bin', 'node')],
    ['LICENSE.node', join(into, 'package', 'LICENSE')],
  ]
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      platform: { type: 'string', default: Object.keys(nodePackages).join(',') },
      into: { type: 'string', default: join(root, 'release') },
      fast: { type: 'boolean', default: false },
    },
  })
  const platforms = values.platform.split(',')
  const unknown = platforms.filter((platform) => !Object.hasOwn(nodePackages, platform))
  if (unknown.length > 0) throw new Error(`--platform ${unknown.join(',')}: it takes ${Object.keys(nodePackages).join(', ')}`)
  return { platforms, into: resolve(values.into), level: values.fast ? 1 : 9 }
}

async function makeAll(place, { platforms, into, level }) {
  const source = await sourceOf()
  const staged = join(place, 'program')
  const common = placed(staged, await stageProgram(staged))
  mkdirSync(into, { recursive: true })
  const sums = []
  for (const platform of platforms) {
    const files = [...common, ...(await nodeFiles(platform, place))]
    const manifest = makeManifest({ ...source, platform, node: nodeVersion, files })
    const name = `cidery-${source.version}-${platform}`
    const archive = join(into, `${name}.tar.gz`)
    await writeArchive(archive, { folder: name, manifest, files, mtime: source.mtime, level })
    sums.push(`${await digestOf(archive)}  ${name}.tar.gz\n`)
    console.log(`${archive}: ${Math.round(statSync(archive).size / 1024 ** 2)} MiB, ${files.length} files, release ${sha256(manifest)}`)
  }
  writeFileSync(join(into, 'SHA256SUMS'), sums.toSorted().join(''))
}

endOnSignals()
const place = mkdtempSync(join(tmpdir(), 'cidery-dist-'))
process.on('exit', () => rmSync(place, { recursive: true, force: true, maxRetries: 3 }))
try {
  await makeAll(place, readOptions())
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
