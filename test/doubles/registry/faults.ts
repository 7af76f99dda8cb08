/** What the double does to a request instead of, or besides, what it was asked for. */
export type Disturbance =
  /** Answers with this status and nothing else. */
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Reads the request and never answers. */
  | { readonly kind: 'silent' }
  /** The body of the answer stops after so many bytes: the connection is ended, or left open. */
  | { readonly kind: 'cut' | 'stop'; readonly after: number }
  /** The body has only so many bytes, and the length in the header is that of what is sent. */
  | { readonly kind: 'shorten'; readonly to: number }
  /** One byte of the body is another. */
  | { readonly kind: 'flip'; readonly at: number }
  /** The connection is ended after so many bytes of the body of the request; what came before is kept. */
  | { readonly kind: 'cut-upload'; readonly after: number }
  /** All that was sent is taken, and the answer is lost. */
  | { readonly kind: 'lose-answer' }
  /** The last bytes of what was sent are lost; `told`: the answer tells so. */
  | { readonly kind: 'forget'; readonly bytes: number; readonly told: boolean }
  /** Answers with the whole though a part was asked for. */
  | { readonly kind: 'whole' }
  /** Answers with another part than was asked for. */
  | { readonly kind: 'other-part' }
  /** Headers of the answer. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string>> }
  /** Something that happens right after the answer: a tag is moved, a token ends. */
  | { readonly kind: 'then'; readonly run: () => unknown }

export interface Fault {
  readonly method?: string
  /** Tested on path and query. */
  readonly path?: RegExp
  /** How many requests pass before it. Default 0. */
  readonly after?: number
  /** How many it meets. Default 1; Infinity: all. */
  readonly times?: number
  readonly does: Disturbance
}

export interface Faults {
  add(...faults: readonly Fault[]): void
  clear(): void
  /** What meets this request: at most one. */
  take(method: string, path: string): Disturbance | null
  /** Faults that met fewer requests than they may. */
  pending(): number
}

/** @example double.faults.add({ method: 'GET', path: /blobs/, does: { kind: 'cut', after: 1000 } }) */
export function createFaults(): Faults {
  let held: { readonly fault: Fault; passed: number; met: number }[] = []

  return {
    add(...faults) {
      held.push(...faults.map((fault) => ({ fault, passed: 0, met: 0 })))
    },
    clear() {
      held = []
    },
    take(method, path) {
      for (const entry of held) {
        const { fault } = entry
        if (fault.method !== undefined && fault.method !== method) continue
        if (fault.path !== undefined && !fault.path.test(path)) continue
        if (entry.passed < (fault.after ?? 0)) {
          entry.passed += 1
          continue
        }
        if (entry.met >= (fault.times ?? 1)) continue
        entry.met += 1
        return fault.does
      }
      return null
    },
    pending: () => held.filter(({ fault, met }) => met === 0 || (fault.times !== Infinity && met < (fault.times ?? 1))).length,
  }
}
