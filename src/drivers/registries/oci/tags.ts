import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { Repository } from '../../../ports/registry.ts'
import type { Site } from './site.ts'
import { persist } from './tries.ts'

const TagList = z.looseObject({ tags: z.array(z.string()).nullish() })

const pageSize = 1000
const mostPages = 1000
const longestPage = 1024 * 1024

/** All pages: a registry gives as many at once as it likes, and says where the next ones are. */
export async function listTags(site: Site, where: Repository, signal: AbortSignal): Promise<readonly string[]> {
  const what = `list the tags of ${where.repository}`
  const tries = site.tries(what, signal)
  const tags = new Set<string>()
  const seen = new Set<string>()
  let path: string | URL = `${where.repository}/tags/list?n=${pageSize}`
  for (;;) {
    const page = await persist(tries, async () => {
      const answer = await site.send({ method: 'GET', path, scopes: [`repository:${where.repository}:pull`], what, signal })
      return { text: await answer.text(longestPage), next: nextPage(answer.header('link'), answer.url) }
    })
    for (const tag of readTags(page.text, site.name)) tags.add(tag)
    if (page.next === null) return [...tags]
    if (seen.has(page.next.href) || seen.size >= mostPages) {
      throw new CideryError('UNAVAILABLE', `${site.name} lists the tags of ${where.repository} in circles`)
    }
    seen.add(page.next.href)
    tries.progressed()
    path = page.next
  }
}

function readTags(text: string, registry: string): readonly string[] {
  try {
    return TagList.parse(JSON.parse(text)).tags ?? []
  } catch (cause) {
    throw new CideryError('UNAVAILABLE', `${registry} answered with something that is no list of tags`, { cause })
  }
}

/** `Link: </v2/a/tags/list?n=2&last=b>; rel="next"` (RFC 8288). One that leads to another host is not followed. */
function nextPage(link: string | undefined, from: URL): URL | null {
  const target = /<([^>]*)>\s*;[^<]*\brel="?next"?/i.exec(link ?? '')?.[1]
  if (target === undefined) return null
  const url = URL.parse(target, from)
  if (url === null || url.hostname !== from.hostname) throw new CideryError('UNAVAILABLE', `${from.host} lists its tags at another host`)
  // Of a registry behind a proxy that ends TLS, only the path can be believed.
  return new URL(`${url.pathname}${url.search}`, from)
}
