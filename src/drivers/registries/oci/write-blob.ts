import { CideryError } from '../../../model/errors.ts'
import type { Repository } from '../../../ports/registry.ts'
import type { Site } from './site.ts'
import { persist } from './tries.ts'
import { createUpload, Forgotten, type BlobSending } from './upload.ts'

export async function hasBlob(
  site: Site,
  where: Repository,
  { digest, signal }: { digest: string; signal: AbortSignal },
): Promise<boolean> {
  const what = `look for the blob ${digest} in ${where.repository}`
  const path = `${where.repository}/blobs/${digest}`
  const scopes = [`repository:${where.repository}:pull`]
  return persist(site.tries(what, signal), async () => {
    const head = await site.send({ method: 'HEAD', path, scopes, what, takes: [404, 405, 501], signal })
    head.drop()
    if (head.status < 300 || head.status === 404) return head.status < 300
    const answer = await site.send({ method: 'GET', path, scopes, what, takes: [404], signal })
    answer.drop()
    return answer.status < 300
  })
}

/** Sends a blob, going on where the registry says that it stopped. Gives the bytes that were sent, those sent twice included. */
export async function writeBlob(site: Site, sending: BlobSending): Promise<number> {
  const { where, source, signal } = sending
  const { digest } = source
  if (await hasBlob(site, where, { digest, signal })) return 0
  const tries = site.tries(`send the blob ${digest} to ${where.repository}`, signal)
  const upload = createUpload(site, sending)
  let farthest = 0
  let refused = false

  async function once(tried: number): Promise<void> {
    // The answer to the last request may be all that was lost.
    if (tried > 0 && !(await upload.resume()) && (await hasBlob(site, where, { digest, signal }))) return
    if (!(await upload.start(tried === 0))) return
    if (upload.offset() > farthest) tries.progressed()
    farthest = Math.max(farthest, upload.offset())
    await upload.send()
  }

  for (let tried = 0; ; tried += 1) {
    try {
      await once(tried)
      return upload.sent()
    } catch (error) {
      if (error instanceof Forgotten) upload.forget()
      // A registry that lost bytes under way gets all of them once more.
      if (error instanceof CideryError && error.code === 'DIGEST_MISMATCH' && !refused && upload.mayBeRight()) {
        refused = true
        upload.forget()
      } else await tries.failed(error)
    }
  }
}
