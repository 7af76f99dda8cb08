import type { AgentIdentity, AgentJournal } from '../../src/ports/agent.ts'

/** An agent's journal in memory. It outlives the agent in a test, as the folder outlives the process. */
export function memoryJournal(identity: AgentIdentity | null = null): AgentJournal & { readonly writes: number } {
  const kinds = {
    attempt: new Map<string, string>(),
    operation: new Map<string, string>(),
    sandbox: new Map<string, string>(),
    build: new Map<string, string>(),
  }
  let held = identity
  let seen = { epoch: 0, generation: 0 }
  let writes = 0
  let enrolmentKey: string | null = null
  return {
    get writes() {
      return writes
    },
    identity: () => Promise.resolve(held),
    saveIdentity(next) {
      held = next
      return Promise.resolve()
    },
    enrolmentKey: () => Promise.resolve(enrolmentKey),
    saveEnrolmentKey(key) {
      enrolmentKey = key
      return Promise.resolve()
    },
    seen: () => Promise.resolve(seen),
    saveSeen(next) {
      seen = next
      return Promise.resolve()
    },
    list: (kind) => Promise.resolve(new Map([...kinds[kind]].map(([id, text]) => [id, JSON.parse(text) as unknown]))),
    put(kind, id, record) {
      writes += 1
      kinds[kind].set(id, JSON.stringify(record))
      return Promise.resolve()
    },
    remove(kind, id) {
      kinds[kind].delete(id)
      return Promise.resolve()
    },
  }
}

export function testIdentity(change: Partial<AgentIdentity> = {}): AgentIdentity {
  return {
    hostId: 'host_00000000000000000000000001',
    name: 'mini-1',
    controllerUrl: 'http://127.0.0.1:1',
    caFingerprint: null,
    key: 'cidery_key_first',
    nextKey: null,
    ...change,
  }
}
