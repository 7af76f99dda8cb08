// Appends to a blob until it is killed, and says which length was acknowledged: `node appender.child.ts DIRECTORY`.
// Byte n of the blob is n modulo 251, so that a test sees any byte that is not where it belongs.
import { createInterface } from 'node:readline'
import { createFolderBlobs } from '../../src/drivers/blobs/folder/folder-blobs.ts'

const [directory = ''] = process.argv.slice(2)
const blobs = await createFolderBlobs({ directory })
createInterface({ input: process.stdin }).on('close', () => process.exit())
let length = await blobs.length('logs/att_1')
console.log(`ready ${length}`)
for (;;) {
  const start = length
  length = await blobs.append(
    'logs/att_1',
    start,
    Uint8Array.from({ length: 20_011 }, (_, i) => (start + i) % 251),
  )
  console.log(`ack ${length}`)
}
