import { z } from 'zod'

/** Majors of macOS that cidery knows how to build, by the names that Apple gave them. */
export const macosReleases = { '13': 'ventura', '14': 'sonoma', '15': 'sequoia', '26': 'tahoe' } as const
export type MacosRelease = keyof typeof macosReleases

/** Versions of Debian, by the suites that their packages come from. */
export const debianReleases = { '12': 'bookworm', '13': 'trixie' } as const

export const Guest = z.discriminatedUnion('os', [
  z.strictObject({ os: z.literal('macos'), release: z.enum(Object.keys(macosReleases) as [MacosRelease, ...MacosRelease[]]) }),
  z.strictObject({
    os: z.literal('debian'),
    release: z.enum(Object.keys(debianReleases) as [keyof typeof debianReleases, ...(keyof typeof debianReleases)[]]),
  }),
])
export type Guest = z.infer<typeof Guest>

/** How the guest is set up at the end of a build. What is off stays off in every sandbox of the image. */
export const GuestSettings = z.strictObject({
  /** Default: the name of the image. Sandboxes get names of their own. */
  hostName: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63')
    .optional(),
  /** Whether the guest may go to sleep, or lock its screen. */
  sleep: z.boolean().default(false),
  screenSharing: z.boolean().default(false),
  remoteManagement: z.boolean().default(false),
  /** Whether sshd takes passwords. Off: only keys, and the password of the base opens nothing. */
  passwordLogin: z.boolean().default(false),
  /** Whether the guest looks for updates of its system by itself. */
  automaticUpdates: z.boolean().default(false),
  /** Files that one process may hold open. */
  maxOpenFiles: z.int().min(256).max(10_000_000).optional(),
})
export type GuestSettings = z.infer<typeof GuestSettings>

export const caches = ['apt', 'brew', 'npm', 'pip', 'cargo'] as const

/** What is removed at the end of a build, after the last layer. */
export const Cleanup = z.strictObject({
  caches: z.array(z.enum(caches)).default([...caches]),
  logs: z.boolean().default(true),
  temporary: z.boolean().default(true),
  /** Host keys and machine id: two sandboxes must not share them. */
  identity: z.boolean().default(true),
  paths: z
    .array(
      z
        .string()
        .max(500)
        .regex(/^(?:\/|~\/)[^\0\n]*[^/\0\n]$/, 'an absolute path in the guest below /'),
    )
    .max(100)
    .default([]),
})
export type Cleanup = z.infer<typeof Cleanup>
