import { join } from 'node:path'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import { registryName, type CredentialPlace, type PlaceAnswer, type PlaceParts } from '../place.ts'
import { checkMode, readPrivateFile, type PrivateFile } from '../private-file.ts'

const CredentialFile = z.record(z.string(), z.strictObject({ username: z.string(), password: z.string() }))

/** `{ "ghcr.io": { "username": "…", "password": "…" } }` with mode 0600; and the two files of /tmp that older scripts wrote, for ghcr.io. */
export function makeCredentialFiles(parts: PlaceParts): CredentialPlace {
  const path = parts.credentialsFile ?? join(parts.home, '.config', 'cidery', 'registry-credentials.json')
  const old = parts.oldFolder ?? '/tmp'
  let warned = false

  function isTrusted({ uid }: PrivateFile): boolean {
    return uid === parts.uid || uid === 0
  }

  async function own(registry: string): Promise<PlaceAnswer> {
    const file = await readPrivateFile(path)
    if (file === null) return { looked: `no file ${path}` }
    if (!isTrusted(file)) throw new CideryError('INVALID_INPUT', `${path} belongs to another user: uid ${file.uid}`)
    checkMode(path, file.mode)
    const entry = Object.entries(readFile(path, file.text)).find(([name]) => registryName(name) === registry)
    if (entry === undefined) return { looked: `${path} has no entry for it` }
    return { credential: { ...entry[1], source: `the file ${path}` } }
  }

  /** Anybody may make a file in /tmp: one of another user is passed over, so that no job can lend us credentials or keep us from ours. */
  async function ofTmp(): Promise<PlaceAnswer | null> {
    const paths = [join(old, 'github-username.txt'), join(old, 'github-token.txt')] as const
    const [user, token] = await Promise.all(paths.map((each) => readPrivateFile(each).catch(() => null)))
    if (user === undefined || token === undefined || (user === null && token === null)) return null
    if (user === null || token === null) return { looked: `only one of ${paths.join(' and ')} is there` }
    if (!isTrusted(user) || !isTrusted(token)) return { looked: `${paths.join(' and ')} are of another user and not read` }
    checkMode(paths[1], token.mode)
    if (!warned) parts.log.warn('credentials are read from files of /tmp, which will not be read for ever', { files: paths, instead: path })
    warned = true
    return {
      credential: { username: withoutEnd(user.text), password: withoutEnd(token.text), source: `the files ${paths.join(' and ')}` },
    }
  }

  return {
    async find(registry) {
      const answer = await own(registry)
      if ('credential' in answer || registry !== 'ghcr.io') return answer
      const older = await ofTmp()
      return older === null ? answer : 'looked' in older ? { looked: `${answer.looked}, ${older.looked}` } : older
    },
  }
}

/** Editors and `echo` end a file with a line break, which is no part of a token. */
function withoutEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}

function readFile(path: string, text: string): z.infer<typeof CredentialFile> {
  try {
    return CredentialFile.parse(JSON.parse(text))
  } catch {
    // What is wrong with it may quote what is in it.
    throw new CideryError('INVALID_INPUT', `${path} is no list of credentials`, {
      hint: 'write { "ghcr.io": { "username": "…", "password": "…" } }',
    })
  }
}
