import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { writeAtomically } from '../records.ts'
import type { MachineRecord } from './record.ts'
import type { TartEngineConfig } from './settings.ts'

/**
 * Names of this agent's machines in Tart: the prefix, what no other agent on this host has, and what each is. Sandboxes have their id and generation; images
 * and layers of builds are machines that never run; a part becomes one of them.
 */
export class OwnNames {
  readonly #config: TartEngineConfig
  readonly #parts = new Set<string>()

  constructor(config: TartEngineConfig) {
    this.#config = config
  }

  /** Begins every name that this agent gives, and no other's. */
  get prefix(): string {
    const { stateDir, prefix } = this.#config
    const path = `${stateDir}/owner`
    if (!existsSync(path)) {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 })
      writeAtomically(path, randomBytes(4).toString('hex'))
    }
    return `${prefix}-${readFileSync(path, 'utf8')}-`
  }

  sandbox({ id, generation }: Pick<MachineRecord, 'id' | 'generation'>): string {
    return `${this.prefix}${id.replaceAll('_', '-')}-${generation}`
  }

  image(id: string): string {
    return `${this.prefix}img-${id}`
  }

  layer(key: string): string {
    return `${this.prefix}layer-${key}`
  }

  /** The key of a layer's name; null for any other. */
  layerKey(name: string): string | null {
    const prefix = this.layer('')
    return name.startsWith(prefix) ? name.slice(prefix.length) : null
  }

  /** Gives a name of its own to what is being made by this process, while `work` makes it. */
  async withPart<T>(work: (name: string) => Promise<T>): Promise<T> {
    const name = `${this.prefix}part-${process.pid}-${randomBytes(4).toString('hex')}`
    this.#parts.add(name)
    try {
      return await work(name)
    } finally {
      this.#parts.delete(name)
    }
  }

  isBeingMade(name: string): boolean {
    return this.#parts.has(name)
  }

  /** The process that makes it; null for what is no part. */
  partMaker(name: string): number | null {
    const { prefix } = this
    const pid = name.startsWith(prefix) ? /^part-(\d+)-/.exec(name.slice(prefix.length))?.[1] : undefined
    return pid === undefined ? null : Number(pid)
  }

  /** Whether it is an image's, a layer's or a part's: whoever sweeps sandboxes leaves it. */
  isStored(name: string): boolean {
    const { prefix } = this
    return ['img-', 'layer-', 'part-'].some((kind) => name.startsWith(`${prefix}${kind}`))
  }
}
