import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import {
  AdoptRequest,
  BuildList,
  BuildRequest,
  BuildView,
  ForceRequest,
  HostImageParams,
  ImageList,
  ImageParams,
  ImageStateList,
  ImageView,
  PromoteRequest,
  RecipePut,
  RollBackRequest,
} from '../model/image-api.ts'
import { isManaged, managedPolicy } from '../model/image/managed.ts'
import { recipeFiles, Recipe } from '../model/image/recipe.ts'
import { parseImageReference } from '../model/image/reference.ts'
import { imageKeys } from '../model/image/state.ts'
import { second } from '../model/instant.ts'
import type { Image } from '../model/spec.ts'
import type { Reader } from '../ports/store.ts'
import { hasBlob, touchBlobs } from '../record/blobs.ts'
import { buildsOfImage } from '../record/build-list.ts'
import { adoptBuild } from '../record/builds.ts'
import type { RecordTx } from '../record/commit.ts'
import { readHost } from '../record/hosts.ts'
import { readLine } from '../record/image-lines.ts'
import { promoteByHand, rollBack } from '../record/image-promotion.ts'
import { putRecipe, type GivenRecipe } from '../record/image-recipes.ts'
import { askForBuild, clearForced, forceReadiness } from '../record/image-states.ts'
import { buildView, imageView } from './image-views.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf, type Services } from './services.ts'

const HostParams = z.strictObject({ id: z.string().min(1).max(100) })
type View = z.infer<typeof ImageView>
/** Builds of a line that are shown. */
const shown = 200

/** Lines of images: what jobs get, what is built, and where it is. */
export function imageRoutes(services: Services): readonly Route[] {
  const { recorder } = services

  function policyOf(name: string): Image {
    const { images } = services.spec()
    const policy = managedPolicy({ images }, name)
    if (policy !== null) return policy
    const managed = managedNames(images)
    throw new CideryError('NOT_FOUND', `the spec has no image ${name} with a recipe or a registry`, {
      hint: managed.length === 0 ? 'give an image a recipe in cidery.yaml' : `known: ${managed.join(', ')}`,
    })
  }

  async function view(db: Reader, name: string): Promise<View> {
    const policy = policyOf(name)
    return imageView(services, { line: await readLine(db, name), policy, builds: await buildsOfImage(db, name, shown) })
  }

  /** Changes a line that the spec has, and shows it. */
  async function change(context: RouteContext, name: string, work: (tx: RecordTx) => Promise<unknown>): Promise<View> {
    policyOf(name)
    await recorder.write(authorOf(context), work)
    return recorder.read((db) => view(db, name))
  }

  async function statesOf(test: (state: { readonly image: string; readonly hostId: string }) => boolean) {
    const states = await services.judgement.imageStates(services.clock.now())
    return states.filter(test)
  }

  return [
    route({
      method: 'GET',
      path: '/images',
      summary: 'Images that cidery builds or fetches, with what jobs get and what waits for what',
      tag: 'images',
      access: 'read',
      response: ImageList,
      handler: async () =>
        recorder.read(async (db) => {
          const items: View[] = []
          for (const name of managedNames(services.spec().images)) items.push(await view(db, name))
          return { items, nextCursor: null }
        }),
    }),
    route({
      method: 'GET',
      path: '/images/:name',
      summary: 'An image by name',
      tag: 'images',
      access: 'read',
      params: ImageParams,
      response: ImageView,
      handler: async (_context, { params }) => recorder.read((db) => view(db, params.name)),
    }),
    route({
      method: 'GET',
      path: '/images/:name/builds',
      summary: 'The latest builds of an image, newest first',
      tag: 'images',
      access: 'read',
      params: ImageParams,
      response: BuildList,
      handler: async (_context, { params }) => {
        policyOf(params.name)
        const builds = await recorder.read((db) => buildsOfImage(db, params.name, shown))
        return { items: builds.map(buildView), nextCursor: null }
      },
    }),
    route({
      method: 'GET',
      path: '/images/:name/hosts',
      summary: 'An image on every host that looks after it: whether a job may start there, and why not',
      tag: 'images',
      access: 'read',
      params: ImageParams,
      response: ImageStateList,
      handler: async (_context, { params }) => {
        policyOf(params.name)
        return { items: await statesOf(({ image }) => image === params.name), nextCursor: null }
      },
    }),
    route({
      method: 'GET',
      path: '/image-states',
      summary: 'Every image on every host that looks after it',
      tag: 'images',
      access: 'read',
      response: ImageStateList,
      handler: async () => ({ items: await statesOf(() => true), nextCursor: null }),
    }),
    route({
      method: 'GET',
      path: '/hosts/:id/image-keys',
      summary: 'What is known of images on a host, by keys such as vm-ready-macos-15',
      tag: 'images',
      access: 'read',
      params: HostParams,
      response: z.record(z.string(), z.string()),
      handler: async (_context, { params }) => {
        const host = await recorder.read((db) => readHost(db, params.id))
        const states = await statesOf(({ hostId }) => hostId === host.id)
        return Object.assign({}, ...states.map(imageKeys)) as Record<string, string>
      },
    }),
    route({
      method: 'PUT',
      path: '/images/:name/recipe',
      summary: 'Put a recipe into force; one that says the same as before changes nothing',
      tag: 'images',
      access: 'spec',
      params: ImageParams,
      body: RecipePut,
      bodyLimit: 4 * 1024 * 1024,
      response: ImageView,
      handler: async (context, { params, body }) => {
        policyOf(params.name)
        const given = readRecipe(params.name, body)
        return change(context, params.name, async (tx) => {
          await requireFiles(tx, given)
          await putRecipe(tx, params.name, given)
        })
      },
    }),
    route({
      method: 'POST',
      path: '/images/:name/build',
      summary: 'Build an image whether anything changed or not; what jobs get stays until the new build is promoted',
      tag: 'images',
      access: 'hosts',
      params: ImageParams,
      body: BuildRequest,
      response: ImageView,
      handler: async (context, { params, body }) => change(context, params.name, (tx) => askForBuild(tx, params.name, body.fromBase)),
    }),
    route({
      method: 'POST',
      path: '/images/:name/adopt',
      summary: 'Take a build that a registry has, by its digest: it is brought to hosts and promoted like one that was built here',
      tag: 'images',
      access: 'spec',
      params: ImageParams,
      body: AdoptRequest,
      response: BuildView,
      status: 201,
      handler: async (context, { params, body }) => {
        const { engine } = policyOf(params.name)
        const { digest } = parseImageReference(body.reference)
        if (digest === null)
          throw new CideryError('INVALID_INPUT', `${body.reference} names no digest: a tag may be another image tomorrow`, {
            hint: 'host/path@sha256:…',
          })
        const name = body.name ?? `${params.name}-${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`
        const id = services.ids.next('bld')
        return buildView(await recorder.write(authorOf(context), (tx) => adoptBuild(tx, { ...body, id, image: params.name, engine, name })))
      },
    }),
    route({
      method: 'POST',
      path: '/images/:name/promote',
      summary: 'Give a build to all jobs of an image, by id or name; an older one rolls back to it',
      tag: 'images',
      access: 'hosts',
      params: ImageParams,
      body: PromoteRequest,
      response: BuildView,
      handler: async (context, { params, body }) => {
        policyOf(params.name)
        return buildView(await recorder.write(authorOf(context), (tx) => promoteByHand(tx, params.name, body.build)))
      },
    }),
    route({
      method: 'POST',
      path: '/images/:name/rollback',
      summary: 'End the canary of an image, or give jobs the build that they got before',
      tag: 'images',
      access: 'hosts',
      params: ImageParams,
      body: RollBackRequest,
      response: ImageView,
      handler: async (context, { params, body }) => change(context, params.name, (tx) => rollBack(tx, params.name, body.reason)),
    }),
    route({
      method: 'PUT',
      path: '/hosts/:id/images/:name/forced',
      summary:
        'Say whether an image is ready on a host, whatever is seen there, until it expires; it never makes up for an image that is missing',
      tag: 'images',
      access: 'hosts',
      params: HostImageParams,
      body: ForceRequest,
      response: 'empty',
      handler: async (context, { params, body }) => {
        policyOf(params.name)
        const { ready, ttlS } = body
        const reason = body.reason ?? (ready ? 'Forced ready by admin' : 'Forced not ready by admin')
        await recorder.write(authorOf(context), (tx) => {
          const expiresAt = ttlS === undefined ? null : tx.now + ttlS * second
          return forceReadiness(tx, { host: params.id, image: params.name, ready, reason, expiresAt })
        })
      },
    }),
    route({
      method: 'DELETE',
      path: '/hosts/:id/images/:name/forced',
      summary: 'Let what is seen on the host count again; asking again changes nothing',
      tag: 'images',
      access: 'hosts',
      params: HostImageParams,
      response: 'empty',
      handler: async (context, { params }) => {
        const why = 'a person cleared it'
        await recorder.write(authorOf(context), (tx) => clearForced(tx, { host: params.id, image: params.name, why }))
      },
    }),
  ]
}

function managedNames(images: Readonly<Record<string, Image>>): readonly string[] {
  return Object.keys(images)
    .filter((name) => isManaged({ images }, name))
    .toSorted()
}

/** The recipe that was sent, checked. INVALID_INPUT names the fields that are wrong. */
function readRecipe(name: string, body: z.infer<typeof RecipePut>): GivenRecipe {
  const read = Recipe.safeParse(body.recipe)
  if (!read.success) {
    throw new CideryError('INVALID_INPUT', `the recipe of ${name} cannot be used`, {
      hint: 'cidery image show names lines and accepted values',
      problems: read.error.issues.map(({ path, message }) => ({ path: `recipe.${path.join('.')}`, message })),
    })
  }
  const recipe = read.data
  if (recipe.name !== name) {
    const problems = [{ path: 'recipe.name', message: `it is ${recipe.name}`, accepted: [name] }]
    throw new CideryError('INVALID_INPUT', `the recipe makes ${recipe.name}, not ${name}`, {
      hint: 'name the recipe after its image',
      problems,
    })
  }
  const absent = recipeFiles(recipe).filter((path) => !Object.hasOwn(body.digests, path))
  if (absent.length > 0 || (recipeFiles(recipe).length > 0 && body.files === null)) {
    throw new CideryError('INVALID_INPUT', `files of the recipe of ${name} were not sent: ${absent.join(', ') || 'their archive'}`, {
      hint: 'cidery apply sends them',
    })
  }
  const { digests, files, lock, productVersion } = body
  return { recipe, digests, files, lock, productVersion }
}

async function requireFiles(tx: RecordTx, { files }: GivenRecipe): Promise<void> {
  if (files === null) return
  if (!(await hasBlob(tx.db, files)))
    throw new CideryError('NOT_FOUND', `the controller has no bytes with the SHA-256 ${files}`, {
      hint: 'upload the archive of the files first',
    })
  await touchBlobs(tx.db, [files], tx.now)
}
