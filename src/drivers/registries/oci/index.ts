import { CideryError } from '../../../model/errors.ts'
import { minute, second } from '../../../model/instant.ts'
import type { Repository } from '../../../ports/registry.ts'
import type { RegistryClient, RegistryOptions, RegistryParts } from '../make-registry.ts'
import { checkNames, createPlainHttp, isDigest, mirrorRoots } from './addresses.ts'
import { createConnections } from './connections.ts'
import { deleteManifest, readManifest, resolve, writeManifest, type Named } from './manifests.ts'
import { readBlob } from './read-blob.ts'
import { createSite, type Site, type SiteOptions } from './site.ts'
import { listTags } from './tags.ts'
import { hasBlob, writeBlob } from './write-blob.ts'

const defaults = { silenceMs: minute, tries: 8, longestMs: 15 * minute } as const
/** A mirror is there to be quick: what it cannot give, the registry can. */
const mirrorLimits = { tries: 2, longestMs: 5 * second } as const
/** How long a mirror that failed is not asked. */
const asideMs = 30 * second

/**
 * Client of the distribution specification 1.1 and of what registries made of it.
 *
 * @example const registry = createOciRegistry({ clock, timers, random, credentials }, { mirrors: { 'ghcr.io': ['http://127.0.0.1:5000'] } })
 */
export function createOciRegistry(parts: RegistryParts, options: RegistryOptions): RegistryClient {
  const { silenceMs, tries, longestMs } = { ...defaults, ...options }
  const plain = createPlainHttp(options.insecure ?? [])
  const mirrors = mirrorRoots(options.mirrors ?? {}, plain)
  const connections = createConnections({ timers: parts.timers, silenceMs, caFile: options.caFile })
  const closing = new AbortController()
  const sites = new Map<string, Site>()
  /** When a mirror may be asked again, on steady time. */
  const aside = new Map<Site, number>()

  function siteOf(registry: string, root: URL, limits: Pick<SiteOptions, 'tries' | 'longestMs'>): Site {
    let site = sites.get(root.href)
    if (site === undefined) {
      site = createSite({ ...limits, connections, plain, closed: closing.signal, registry, root }, parts)
      sites.set(root.href, site)
    }
    return site
  }

  function origin({ registry }: Repository): Site {
    return siteOf(registry, plain.rootOf(registry), { tries, longestMs })
  }

  /** Where to read what is named by a digest: mirrors that did not fail lately, then the registry. */
  function sources(where: Repository): readonly Site[] {
    const now = parts.clock.steady()
    const near = (mirrors.get(where.registry) ?? []).map((root) => siteOf(root.host, root, mirrorLimits))
    return [...near.filter((site) => (aside.get(site) ?? 0) <= now), origin(where)]
  }

  function distrust(site: Site): void {
    aside.set(site, parts.clock.steady() + asideMs)
  }

  async function fromMirror(named: Named): ReturnType<typeof readManifest> {
    for (const site of sources(named.where).slice(0, -1)) {
      try {
        const manifest = await readManifest(site, named)
        if (manifest !== null) return manifest
      } catch (error) {
        if (named.signal.aborted) throw error
        // Whatever is wrong with a mirror, the registry can still answer.
        distrust(site)
      }
    }
    return null
  }

  return {
    async resolve(where, name, signal) {
      checkNames(where, name)
      return resolve(origin(where), { where, name, signal })
    },

    async readManifest(where, name, signal) {
      checkNames(where, name)
      const named = { where, name, signal }
      const near = isDigest(name) ? await fromMirror(named) : null
      const manifest = near ?? (await readManifest(origin(where), named))
      if (manifest !== null) return manifest
      throw new CideryError('NOT_FOUND', `${where.registry}/${where.repository} has no manifest ${name}`)
    },

    async *readBlob(where, digest, { range, atOrigin, signal }) {
      checkNames(where, digest)
      yield* readBlob(atOrigin === true ? [origin(where)] : sources(where), { where, digest, range, signal }, distrust)
    },

    async hasBlob(where, digest, signal) {
      checkNames(where, digest)
      return hasBlob(origin(where), where, { digest, signal })
    },

    async writeBlob(where, source, { mountFrom, signal }) {
      checkNames(where, source.digest)
      if (mountFrom !== undefined) checkNames({ ...where, repository: mountFrom })
      return writeBlob(origin(where), { where, source, mountFrom, pieceBytes: options.pieceBytes, plain, signal })
    },

    async writeManifest(where, manifest, signal) {
      checkNames(where, manifest.name)
      return writeManifest(origin(where), { where, ...manifest, signal })
    },

    async listTags(where, signal) {
      checkNames(where)
      return listTags(origin(where), where, signal)
    },

    async deleteManifest(where, digest, signal) {
      checkNames(where, digest)
      await deleteManifest(origin(where), { where, name: digest, signal })
    },

    close() {
      closing.abort(new CideryError('UNAVAILABLE', 'the registry client was closed'))
      connections.close()
    },
  }
}
