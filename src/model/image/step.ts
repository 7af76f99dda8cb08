import { z } from 'zod'
import { DurationText } from '../quantity.ts'

export const stepKinds = ['shell', 'copy', 'reboot', 'packages', 'download'] as const
export type StepKind = (typeof stepKinds)[number]

/** `brew` has formulae, `cask` the applications that come by brew as well. */
export const packageManagers = ['apt', 'brew', 'cask', 'npm', 'pip', 'cargo'] as const
export type PackageManager = (typeof packageManagers)[number]

/** Who runs each manager: brew refuses root, and what npm and pip install for all belongs to root. */
export const managerRunsAs: Readonly<Record<PackageManager, 'root' | 'user'>> = {
  apt: 'root',
  brew: 'user',
  cask: 'user',
  npm: 'root',
  pip: 'root',
  cargo: 'user',
}

/** Path of a file or folder beside the recipe: what a build takes in is in the recipe's folder or below it. */
const RecipePath = z
  .string()
  .min(1)
  .max(500)
  .refine(
    (path) => !path.includes('\0') && !path.includes('\\') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'),
    'a path below the folder of the recipe, such as files/sshd.conf, without . and ..',
  )

/** `~/` is the home of the account that jobs run as. */
const GuestPath = z
  .string()
  .max(500)
  .regex(/^(?:\/|~\/)(?!.*\0)[^\n]+$/, 'an absolute path in the guest, or one below ~/')

/** `22.04`, `1:2.39.5-0+deb12u2`: what a package manager calls a version. */
const packageVersion = '[0-9A-Za-z][0-9A-Za-z.:+~_-]{0,99}'

/** `gcc`, `gcc@4:12.2.0-3`, `python@3.12`, `@bazel/bazelisk@1.26.0`, `tap/name`. The version is behind the last @ but of brew's, whose names hold it. */
const PackageText = z
  .string()
  .max(200)
  .regex(
    new RegExp(`^@?[A-Za-z0-9][A-Za-z0-9+._-]*(?:/[A-Za-z0-9][A-Za-z0-9+._-]*)*(?:@${packageVersion})?$`),
    'a package such as gcc or gcc@4:12.2.0-3',
  )

const ShellSource = z.union([
  z
    .string()
    .min(1)
    .max(200_000)
    .transform((text) => ({ text })),
  z.strictObject({ file: RecipePath }),
])

const Copy = z.strictObject({
  from: RecipePath,
  to: GuestPath,
  /** Of files; folders get x where they can be read. */
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/, 'four octal digits in quotes, such as "0644"')
    .default('0644'),
  owner: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'the name of an account of the guest')
    .default('root'),
})

const Packages = z.strictObject({
  manager: z.enum(packageManagers),
  list: z.array(PackageText).min(1).max(500),
})

const Download = z.strictObject({
  /** Its bytes are what the lock says, or the build is refused. */
  url: z.url({ protocol: /^https?$/, error: 'an https URL (http only to this machine)' }).max(2000),
  to: GuestPath,
})

/** What one step may say: exactly one of the kinds. */
const StepFields = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(/^[^\n]+$/, 'one line'),
  shell: ShellSource.optional(),
  /** Who runs it; shell only. */
  as: z.enum(['root', 'user']).optional(),
  copy: Copy.optional(),
  /** Ends when the guest answers again. */
  reboot: z.strictObject({}).optional(),
  packages: Packages.optional(),
  download: Download.optional(),
  /** Of one try; default: what `timeouts.steps` of the recipe says for its kind. */
  timeout: DurationText.optional(),
  /** Further tries after a failed one; default: 2 of packages and downloads, which need the network, else 0. */
  retries: z.int().min(0).max(10).optional(),
})
type StepFields = z.infer<typeof StepFields>

/** What every step has. */
export interface StepBase {
  readonly name: string
  /** Of one try, in milliseconds; null: that of its kind. */
  readonly timeout: number | null
  readonly retries: number
}

export type Step = StepBase &
  (
    | { readonly kind: 'shell'; readonly source: { readonly text: string } | { readonly file: string }; readonly as: 'root' | 'user' }
    | ({ readonly kind: 'copy' } & Readonly<z.infer<typeof Copy>>)
    | { readonly kind: 'reboot' }
    | { readonly kind: 'packages'; readonly manager: PackageManager; readonly list: readonly string[] }
    | ({ readonly kind: 'download' } & Readonly<z.infer<typeof Download>>)
  )
export type StepOf<K extends StepKind> = Extract<Step, { kind: K }>

const retriesOf: Readonly<Record<StepKind, number>> = { shell: 0, copy: 0, reboot: 0, packages: 2, download: 2 }

function stepOf(fields: StepFields, kind: StepKind): Step {
  const { shell, copy, packages, download } = fields
  const base = { name: fields.name, timeout: fields.timeout ?? null, retries: fields.retries ?? retriesOf[kind] }
  if (shell !== undefined) return { ...base, kind: 'shell', source: shell, as: fields.as ?? 'user' }
  if (copy !== undefined) return { ...base, kind: 'copy', ...copy }
  if (packages !== undefined) return { ...base, kind: 'packages', ...packages }
  if (download !== undefined) return { ...base, kind: 'download', ...download }
  return { ...base, kind: 'reboot' }
}

/** One step of a layer, in the order of the recipe. */
export const Step = StepFields.transform((fields, context): Step => {
  // A mistyped field is told of already.
  if (context.issues.length > 0) return z.NEVER
  const kinds = stepKinds.filter((kind) => fields[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    const given = kinds.length === 0 ? 'none is there' : `${kinds.join(' and ')} are there`
    context.addIssue({ code: 'custom', message: `a step has exactly one of ${stepKinds.join(', ')}; ${given}` })
    return z.NEVER
  }
  if (fields.as !== undefined && kind !== 'shell') {
    context.addIssue({ code: 'custom', path: ['as'], message: `only a shell step runs as somebody; this one is ${kind}` })
  }
  return stepOf(fields, kind)
})

/**
 * Name and version of an entry of `packages`; null: whatever the manager has. What brew has is named without one (`python@3.12` is a name).
 *
 * @example packageOf('apt', 'git@1:2.39.5-0+deb12u2') // { name: 'git', version: '1:2.39.5-0+deb12u2' }
 */
export function packageOf(manager: PackageManager, text: string): { readonly name: string; readonly version: string | null } {
  const at = manager === 'brew' || manager === 'cask' ? -1 : text.lastIndexOf('@')
  return at <= 0 ? { name: text, version: null } : { name: text.slice(0, at), version: text.slice(at + 1) }
}
