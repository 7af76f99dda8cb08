export interface OptionSpec {
  /** `many` may be given more than once; `one` counts the last time. */
  readonly kind: 'flag' | 'one' | 'many'
  readonly short?: string
  readonly fallback?: string
  readonly number?: boolean
  readonly most?: number
  readonly oneOf?: readonly string[]
}

export interface CommandSpec {
  readonly about: string
  readonly words: readonly string[]
  /** Name of a last argument that takes one word or more. */
  readonly rest?: string
  /** The rest is not looked at. */
  readonly passthrough?: boolean
  readonly hidden?: boolean
  readonly options: Readonly<Record<string, OptionSpec>>
}

const flag = { kind: 'flag' } as const
const one = { kind: 'one' } as const
const many = { kind: 'many' } as const
const format = { kind: 'one', oneOf: ['text', 'json'], fallback: 'text' } as const
const number = (fallback?: string): OptionSpec => ({ kind: 'one', number: true, ...(fallback === undefined ? {} : { fallback }) })

/** Every command with its arguments and options, as of 2.35. */
export const commands: Readonly<Record<string, CommandSpec>> = {
  create: {
    about: 'Create a VM',
    words: ['name'],
    options: {
      'from-ipsw': one,
      linux: flag,
      'disk-size': number('50'),
      'disk-format': { ...one, oneOf: ['raw', 'asif'], fallback: 'raw' },
    },
  },
  clone: {
    about: 'Clone a VM',
    words: ['source-name', 'new-name'],
    options: { insecure: flag, concurrency: number('4'), deduplicate: flag, stacked: flag, 'prune-limit': number('100') },
  },
  run: {
    about: 'Run a VM',
    words: ['name'],
    options: {
      'no-graphics': flag,
      serial: flag,
      'serial-path': one,
      'no-audio': flag,
      'no-clipboard': flag,
      recovery: flag,
      vnc: flag,
      'vnc-experimental': flag,
      disk: many,
      rosetta: one,
      dir: many,
      nested: flag,
      'net-bridged': many,
      'net-softnet': flag,
      'net-softnet-allow': one,
      'net-softnet-block': one,
      'net-softnet-control-fd': one,
      'net-softnet-expose': one,
      'net-host': flag,
      'root-disk-opts': one,
      suspendable: flag,
      'capture-system-keys': flag,
      'no-trackpad': flag,
      'no-pointer': flag,
      'no-keyboard': flag,
      'provisioning-opts': one,
    },
  },
  set: {
    about: "Modify VM's configuration",
    words: ['name'],
    options: {
      cpu: number(),
      memory: number(),
      display: one,
      'display-refit': flag,
      'no-display-refit': flag,
      'random-mac': flag,
      'random-serial': flag,
      disk: one,
      'disk-size': number(),
    },
  },
  get: { about: "Get a VM's configuration", words: ['name'], options: { format } },
  list: {
    about: 'List created VMs',
    words: [],
    options: { source: { ...one, oneOf: ['local', 'oci'] }, format, quiet: { ...flag, short: 'q' } },
  },
  login: {
    about: 'Login to a registry',
    words: ['host'],
    options: { username: one, 'password-stdin': flag, insecure: flag, 'no-validate': flag },
  },
  logout: { about: 'Logout from a registry', words: ['host'], options: {} },
  ip: {
    about: "Get VM's IP address",
    words: ['name'],
    options: {
      wait: { kind: 'one', number: true, most: 65_535, fallback: '0' },
      resolver: { ...one, oneOf: ['dhcp', 'arp', 'agent'], fallback: 'dhcp' },
    },
  },
  exec: {
    about: 'Execute a command in a running VM',
    words: ['name'],
    rest: 'command',
    passthrough: true,
    options: { interactive: { ...flag, short: 'i' }, tty: { ...flag, short: 't' } },
  },
  pull: {
    about: 'Pull a VM from a registry',
    words: ['remote-name'],
    options: { insecure: flag, concurrency: number('4'), deduplicate: flag },
  },
  push: {
    about: 'Push a VM to a registry',
    words: ['local-name'],
    rest: 'remote-names',
    options: { insecure: flag, concurrency: number('4'), 'chunk-size': number('0'), label: many, 'populate-cache': flag },
  },
  import: { about: 'Import VM from a compressed .tvm file', words: ['path', 'name'], options: {} },
  export: { about: 'Export VM to a compressed .tvm file', words: ['name'], options: {} },
  prune: {
    about: 'Prune OCI and IPSW caches or local VMs',
    words: [],
    options: {
      entries: { ...one, oneOf: ['caches', 'vms'], fallback: 'caches' },
      'older-than': number(),
      'space-budget': number(),
      gc: flag,
    },
  },
  rename: { about: 'Rename a local VM', words: ['name', 'new-name'], options: {} },
  stop: { about: 'Stop a VM', words: ['name'], options: { timeout: { kind: 'one', number: true, short: 't', fallback: '30' } } },
  delete: { about: 'Delete a VM', words: [], rest: 'name', options: {} },
  fqn: { about: 'Get a fully-qualified VM name', words: ['name'], hidden: true, options: {} },
  suspend: { about: 'Suspend a VM', words: ['name'], options: {} },
}
