import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { CideryError } from '../../model/errors.ts'

/** Unpacks an index of packages: `.gz`, or `.xz`, which is all that Debian's updates and security have. INVALID_INPUT when it is larger than it may be. */
export async function unpackIndex(bytes: Uint8Array, ending: 'gz' | 'xz', maxBytes: number): Promise<string> {
  if (ending === 'gz') return (await promisify(gunzip)(bytes, { maxOutputLength: maxBytes })).toString('utf8')
  // Loaded only where it is needed: Node itself knows no xz.
  const { default: xz } = await import('xz-decompress')
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of new xz.XzReadableStream(new Blob([Buffer.from(bytes)]).stream()) as unknown as AsyncIterable<Uint8Array>) {
    length += piece.length
    if (length > maxBytes) throw new CideryError('INVALID_INPUT', `an index of packages unpacks to more than ${maxBytes} bytes`)
    pieces.push(Buffer.from(piece))
  }
  return Buffer.concat(pieces).toString('utf8')
}
