import { CideryError } from '../model/errors.ts'
import type { AgentIdentity, AgentJournal } from '../ports/agent.ts'

export interface MachineJournal extends AgentJournal {
  /** Records that are there now, by kind. */
  count(): number
}

/** An agent's journal on the disk of a machine: it outlives the agent, and takes nothing while the disk is full. */
export function machineJournal(identity: AgentIdentity, isFull: () => boolean): MachineJournal {
  const kinds = {
    attempt: new Map<string, string>(),
    operation: new Map<string, string>(),
    sandbox: new Map<string, string>(),
    build: new Map<string, string>(),
  }
  let held: AgentIdentity = identity
  let seen = { epoch: 0, generation: 0 }
  let enrolmentKey: string | null = null

  async function written(write: () => void): Promise<void> {
    if (isFull()) throw new CideryError('STORAGE_FULL', 'the disk of the host is full')
    write()
  }

  return {
    identity: async () => held,
    saveIdentity: (next) => written(() => (held = next)),
    enrolmentKey: async () => enrolmentKey,
    saveEnrolmentKey: (key) => written(() => (enrolmentKey = key)),
    seen: async () => seen,
    saveSeen: (next) => written(() => (seen = next)),
    list: async (kind) => new Map([...kinds[kind]].map(([id, text]) => [id, JSON.parse(text) as unknown])),
    put: (kind, id, record) => written(() => kinds[kind].set(id, JSON.stringify(record))),
    remove: async (kind, id) => void kinds[kind].delete(id),
    count: () => Object.values(kinds).reduce((sum, { size }) => sum + size, 0),
  }
}
