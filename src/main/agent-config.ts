import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { Name } from '../model/id.ts'
import { RegistriesConfig } from './agent-registry.ts'

const UserEngine = z.strictObject({
  slots: z.int().positive().max(1000).optional(),
  prefix: z.string().optional(),
  uidRange: z.tuple([z.int(), z.int()]).optional(),
  netRange: z.string().optional(),
  homeRoot: z.string().startsWith('/').optional(),
  maxProcesses: z.int().positive().optional(),
  resolvers: z.array(z.string()).optional(),
  isolation: z.enum(['account', 'directory']).optional(),
  mounts: z.array(z.string().startsWith('/')).optional(),
  afterSandbox: z.tuple([z.string()], z.string()).optional(),
})

const QemuEngine = z.strictObject({
  slots: z.int().positive().max(1000).optional(),
  images: z.record(Name, z.string().startsWith('/')).optional(),
  acceleration: z.enum(['auto', 'software']).optional(),
  firstUid: z.int().positive().optional(),
  prefix: z.string().optional(),
  netRange: z.string().optional(),
  resolvers: z.array(z.string()).optional(),
  savedStates: z.int().min(0).max(1000).optional(),
  bootSeconds: z.int().positive().max(3600).optional(),
})

const TartEngine = z.strictObject({
  slots: z.int().positive().max(1000).optional(),
  program: z.string().startsWith('/').optional(),
  home: z.string().startsWith('/').optional(),
  images: z.record(Name, z.string().min(1)).optional(),
  prefix: z.string().optional(),
  network: z.enum(['shared', 'softnet']).optional(),
  user: z.string().optional(),
  ssh: z.strictObject({ keyFile: z.string().startsWith('/').optional(), passwordFile: z.string().startsWith('/').optional() }).optional(),
  bootSeconds: z.int().positive().max(3600).optional(),
  agentSeconds: z.int().positive().max(3600).optional(),
  env: z.record(z.string(), z.string()).optional(),
})

/**
 * `agent.yaml` in the agent's state directory: what belongs to this one machine and not to the fleet. Two agents on one machine must differ in
 * prefix, UIDs and network of their engines. `user` is always there; another engine is when it is named here.
 */
export const AgentConfig = z.strictObject({
  engines: z.strictObject({ user: UserEngine.optional(), qemu: QemuEngine.optional(), tart: TartEngine.optional() }).optional(),
  /** Registries that images come from and go to. */
  registries: RegistriesConfig.optional(),
  /** Lets operations restart this machine. */
  allowReboot: z.boolean().optional(),
  /** Addresses that no job behind `nat` may reach, besides the controller's. */
  blockedAddresses: z.array(z.string()).optional(),
  /** Where `/health` is served; null: nowhere. */
  health: z
    .strictObject({ host: z.string(), port: z.int().min(0).max(65_535) })
    .nullable()
    .optional(),
})
export type AgentConfig = z.infer<typeof AgentConfig>

/** Reads `agent.yaml`; an absent file is an empty one. Throws INVALID_INPUT naming the fields that are wrong. */
export async function readAgentConfig(stateDir: string): Promise<AgentConfig> {
  const file = join(stateDir, 'agent.yaml')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new CideryError('INVALID_INPUT', `${file} could not be read`, { cause: error })
  }
  const result = AgentConfig.safeParse(asObject(file, text))
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => ({ file, path: issue.path.join('.'), message: issue.message }))
  throw new CideryError(
    'INVALID_INPUT',
    `${file} is not right: ${problems.map(({ path, message }) => `${path === '' ? 'it' : path}: ${message}`).join('; ')}`,
    {
      hint: `correct ${file}; docs/guide/agent.md lists its fields`,
      problems,
    },
  )
}

function asObject(file: string, text: string): unknown {
  try {
    return parse(text) ?? {}
  } catch (error) {
    throw new CideryError('INVALID_INPUT', `${file} is not YAML`, { cause: error })
  }
}
