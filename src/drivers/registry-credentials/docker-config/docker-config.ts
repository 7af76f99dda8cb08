import { join } from 'node:path'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import { registryName, type CredentialPlace, type PlaceAnswer, type PlaceParts } from '../place.ts'
import { octal, readPrivateFile } from '../private-file.ts'
import { runProgram } from '../run-program.ts'

const Auth = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
})
const DockerConfig = z.looseObject({
  auths: z.record(z.string(), Auth).optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
})
const HelperAnswer = z.looseObject({ Username: z.string(), Secret: z.string() })

/** The user name of a helper that has a token for another protocol (OAuth refresh), which is not spoken here. */
const identityUser = '<token>'

/**
 * What `docker login` left: `credHelpers` of that registry, `credsStore`, then `auths`, as Docker looks itself. A helper is the program
 * `docker-credential-<name>`, which reads the registry's name and writes `{"Username":…,"Secret":…}`.
 */
export function makeDockerConfig(parts: PlaceParts): CredentialPlace {
  const path = join(parts.env['DOCKER_CONFIG'] ?? join(parts.home, '.docker'), 'config.json')
  let warned = false

  async function ask(helper: string, server: string, signal: AbortSignal): Promise<PlaceAnswer> {
    if (!/^[\w.-]+$/.test(helper)) throw new CideryError('INVALID_INPUT', `${path} names a credential helper that is no program name`)
    const program = `docker-credential-${helper}`
    const answer = await runProgram(parts, [program, 'get'], { input: server, signal })
    if (answer === null) return { looked: `${program}, which ${path} names, could not be started` }
    if (answer.code !== 0) return { looked: `${program} has nothing for it` }
    const { Username: username, Secret: password } = readHelper(program, answer.output)
    if (username === identityUser) return { looked: `${program} has only an identity token, which is not supported` }
    return { credential: { username, password, source: program } }
  }

  function inAuths(auths: z.infer<typeof DockerConfig>['auths'], registry: string): PlaceAnswer {
    const entry = byRegistry(auths, registry)?.[1]
    if (entry === undefined) return { looked: `${path} has no entry for it` }
    const { username, password, auth } = entry
    const source = `the file ${path}`
    if (username !== undefined && password !== undefined) return { credential: { username, password, source } }
    const text = Buffer.from(auth ?? '', 'base64').toString('utf8')
    const colon = text.indexOf(':')
    if (colon > 0) return { credential: { username: text.slice(0, colon), password: text.slice(colon + 1), source } }
    return { looked: entry.identitytoken === undefined ? `${path} has an empty entry for it` : `${path} has only an identity token for it` }
  }

  function warnOf(mode: number): void {
    if ((mode & 0o077) === 0 || warned) return
    warned = true
    parts.log.warn('a file with credentials can be read by others', { file: path, mode: octal(mode), cure: `chmod 600 ${path}` })
  }

  return {
    async find(registry, signal) {
      // Docker's own file; people link it from elsewhere.
      const file = await readPrivateFile(path, { followLink: true })
      if (file === null) return { looked: `no file ${path}` }
      const { auths, credHelpers, credsStore } = readConfig(path, file.text)
      const named = byRegistry(credHelpers, registry)
      const looked: string[] = []
      const helper = named?.[1] ?? credsStore
      if (helper !== undefined) {
        const server = named?.[0] ?? byRegistry(auths, registry)?.[0] ?? registry
        const answer = await ask(helper, server, signal)
        if ('credential' in answer) return answer
        looked.push(answer.looked)
      }
      const answer = inAuths(auths, registry)
      if ('looked' in answer) return { looked: [...looked, answer.looked].join(', ') }
      warnOf(file.mode)
      return answer
    },
  }
}

function byRegistry<T>(entries: Readonly<Record<string, T>> | undefined, registry: string): [string, T] | undefined {
  return Object.entries(entries ?? {}).find(([name]) => registryName(name) === registry)
}

function readConfig(path: string, text: string): z.infer<typeof DockerConfig> {
  try {
    return DockerConfig.parse(JSON.parse(text))
  } catch {
    // What is wrong with it may quote what is in it.
    throw new CideryError('INVALID_INPUT', `${path} is no configuration of Docker`)
  }
}

function readHelper(program: string, output: string): z.infer<typeof HelperAnswer> {
  try {
    return HelperAnswer.parse(JSON.parse(output))
  } catch {
    // What it wrote may be the secret itself.
    throw new CideryError('UNAVAILABLE', `${program} answered with something that is no credential`)
  }
}
