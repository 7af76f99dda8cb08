import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { JobId } from '../model/id.ts'
import { Artifact, ArtifactFailure } from '../model/job.ts'
import { attemptsOfJobs } from '../record/attempts.ts'
import { hasBlob } from '../record/blobs.ts'
import { readJob } from '../record/jobs.ts'
import { noAttempt } from './logs.ts'
import { route, type Route } from './route.ts'
import type { Services } from './services.ts'

const ArtifactList = z.strictObject({ items: z.array(Artifact), failures: z.array(ArtifactFailure) })
const ArtifactQuery = z.strictObject({ attempt: z.coerce.number().int().min(1).optional() })

/** Files that a job left: the list of its last attempt or of another, and their bytes. */
export function artifactRoutes(services: Services): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/jobs/:id/artifacts',
      summary: "Files that a job's last attempt, or attempt=N, left, and those that could not be kept",
      tag: 'jobs',
      access: 'read',
      params: z.strictObject({ id: JobId }),
      query: ArtifactQuery,
      response: ArtifactList,
      handler: async (_context, { params, query }) => artifactsOf(services, params.id, query.attempt),
    }),
    route({
      method: 'GET',
      path: '/jobs/:id/artifacts/*path',
      summary: "The bytes of a file that a job's last attempt, or attempt=N, left",
      tag: 'jobs',
      access: 'read',
      params: z.strictObject({ id: JobId, path: z.string().min(1).max(4096) }),
      query: ArtifactQuery,
      response: 'raw',
      handler: async (context, { params, query }) => {
        const { items } = await artifactsOf(services, params.id, query.attempt)
        const artifact = items.find(({ path }) => path === params.path)
        if (artifact === undefined) {
          throw new CideryError('NOT_FOUND', `the job ${params.id} left no file ${params.path}`, {
            hint: `cidery job show ${params.id} lists what it left`,
          })
        }
        if (!(await services.recorder.read((db) => hasBlob(db, artifact.blob)))) {
          throw new CideryError('NOT_FOUND', `the file ${params.path} is not kept any more`, {
            hint: 'limits.artifactRetention in cidery.yaml says how long files are kept',
          })
        }
        const { sizeBytes, stream } = await services.blobs.open(artifact.blob)
        // A file of a job is never shown by the browser as a page of ours.
        context.reply.header('content-type', 'application/octet-stream').header('content-length', sizeBytes)
        context.reply.header('content-disposition', attachment(artifact.path)).header('x-content-type-options', 'nosniff')
        context.reply.header('content-security-policy', "sandbox; default-src 'none'")
        await context.reply.send(stream)
      },
    }),
  ]
}

/** Of the attempt with a number; undefined: of the last, which a job need not have yet. */
async function artifactsOf(services: Services, jobId: string, number: number | undefined): Promise<z.infer<typeof ArtifactList>> {
  return services.recorder.read(async (db) => {
    await readJob(db, jobId)
    const attempts = (await attemptsOfJobs(db, [jobId])).get(jobId) ?? []
    const attempt = number === undefined ? attempts.at(-1) : attempts.find((one) => one.number === number)
    if (attempt === undefined && number !== undefined) throw noAttempt(jobId, number, attempts.length)
    return { items: [...(attempt?.artifacts ?? [])], failures: [...(attempt?.artifactFailures ?? [])] }
  })
}

/** The file's own name, for old readers in plain characters, for all others as it is. */
export function attachment(path: string): string {
  const name = path.split('/').at(-1) ?? 'file'
  const plain = name.replaceAll(/[^\w.+-]/g, '_')
  const exact = encodeURIComponent(name).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}
