import { createHash } from 'node:crypto'
import { createReadStream, lstatSync, readdirSync } from 'node:fs'

/** Bytes that the files of a folder take on the disk: a sparse disk takes less than its size. */
export function allocatedBytes(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.reduce((sum, entry) => sum + (entry.isFile() ? lstatSync(`${entry.parentPath}/${entry.name}`).blocks * 512 : 0), 0)
}

/** SHA-256 of files, by name. */
export type FileSums = Readonly<Record<string, string>>

/** SHA-256 of the files of a folder: of all, or of those of these names that are there. */
export async function sumsOf(folder: string, names: readonly string[] = readdirSync(folder)): Promise<FileSums> {
  const sums: Record<string, string> = {}
  const there = new Set(readdirSync(folder))
  for (const name of names.filter((each) => there.has(each)).toSorted()) {
    const hash = createHash('sha256')
    for await (const bytes of createReadStream(`${folder}/${name}`, { highWaterMark: 1024 ** 2 }) as AsyncIterable<Uint8Array>)
      hash.update(bytes)
    sums[name] = hash.digest('hex')
  }
  return sums
}

/** What of the files of an image is not as it was, in words. */
export function sumFaults(known: FileSums, found: FileSums): readonly string[] {
  const names = [...new Set([...Object.keys(known), ...Object.keys(found)])].toSorted()
  return names.flatMap((name) => {
    if (found[name] === undefined) return [`${name}: it is not there`]
    if (known[name] === undefined) return [`${name}: it is not part of the image`]
    return found[name] === known[name] ? [] : [`${name}: its sha256 is ${found[name]}, not ${known[name]}`]
  })
}
