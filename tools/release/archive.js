// Archives that are the same to the last byte whenever they are made from the same files: entries in order, one time for all, nobody's name in them.
import { createHash } from 'node:crypto'
import { createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import { pack } from 'tar-stream'

export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Whether a file can be started: what begins as a program does, or lies in bin/. */
function isProgram(path) {
  return path.startsWith('bin/')
}

/**
 * The manifest of the files of a folder, as `ReleaseManifest` in src/model/release.ts has it. `files`: `[path in the archive, path on disk]`.
 */
export function makeManifest({ version, commit, platform, node, files }) {
  const entries = files.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([path, from]) => [path, readFileSync(from)])
  const described = entries.map(([path, bytes]) => [path, { sha256: sha256(bytes), sizeBytes: bytes.length, executable: isProgram(path) }])
  const manifest = { format: 1, version, commit, platform, node, files: Object.fromEntries(described) }
  return Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)
}

/** Writes `<folder>/manifest.json` first and then the files, all below one folder. `level`: of gzip. */
export async function writeArchive(into, { folder, manifest, files, mtime, level = constants.Z_BEST_COMPRESSION }) {
  const archive = pack()
  const writing = pipeline(archive, createGzip({ level }), withoutSystem, createWriteStream(into))
  const add = (path, bytes) =>
    new Promise((resolve, reject) => {
      const header = {
        name: `${folder}/${path}`,
        mode: isProgram(path) ? 0o755 : 0o644,
        mtime,
        type: 'file',
        uid: 0,
        gid: 0,
        size: bytes.length,
      }
      archive.entry(header, bytes, (error) => (error ? reject(error) : resolve()))
    })
  await add('manifest.json', manifest)
  for (const [path, from] of files.toSorted(([a], [b]) => (a < b ? -1 : 1))) await add(path, readFileSync(from))
  archive.finalize()
  await writing
}

/** The tenth byte of gzip names the system that it was made on; that is nobody's business. */
async function* withoutSystem(pieces) {
  let first = true
  for await (const piece of pieces) {
    if (first && piece.length > 9) piece[9] = 255
    first = false
    yield piece
  }
}

/** `join` for the pair of archive path and disk path. */
export function placed(folder, paths) {
  return paths.map((path) => [path, join(folder, path)])
}
