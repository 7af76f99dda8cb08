/** A transfer that is meant to be killed, slow enough for it: `transfer.child.ts push|pull <registry> <repository> <folder> [digest]`. The last line is what it gave. */
import { pullImage } from '../../src/drivers/engines/qemu/oci/pull.ts'
import { pushImage } from '../../src/drivers/engines/qemu/oci/push.ts'
import { testClient } from '../doubles/registry/client.ts'

const [what = '', host = '', repository = '', folder = '', digest = ''] = process.argv.slice(2)
const registry = testClient()
const where = { registry: host, repository }
const { signal } = new AbortController()

function tellPercent({ doneBytes, totalBytes }: { readonly doneBytes: number; readonly totalBytes: number }): void {
  console.log(Math.floor((doneBytes / totalBytes) * 100))
}

const given =
  what === 'push'
    ? await pushImage(folder, { registry, where }, { signal, packing: { packBytes: 1024 ** 2 } })
    : await pullImage({ registry, where, digest }, folder, { signal, bytesPerSecond: 6_000_000, onProgress: tellPercent })
console.log(JSON.stringify(given))
registry.close()
