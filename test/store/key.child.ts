// Opens the keys of a state directory when told so: `node key.child.ts DIRECTORY`; lines in: `go`; lines out: `ready`, `key …`.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createSecretBox } from '../../src/drivers/secrets/secret-box.ts'
import { createSigner } from '../../src/drivers/secrets/signer.ts'

const [directory = ''] = process.argv.slice(2)
const random = createSystemRandom()
console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) {
  const signer = createSigner({ keyFile: join(directory, 'journal.key'), random })
  const box = createSecretBox({ keyFile: join(directory, 'secrets.key'), random })
  console.log(`key ${signer.publicKey} ${box.seal('x', 'race').split('.')[1] ?? ''}`)
  break
}
process.exit()
