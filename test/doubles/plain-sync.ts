import { syncProtocol, type SyncRequest } from '../../src/model/sync.ts'

/** What an agent of a fresh boot asks that has nothing to tell, with what a test changes in it. */
export function plainSync(change: Partial<SyncRequest> = {}): SyncRequest {
  return {
    protocol: syncProtocol,
    agentVersion: '0',
    bootId: 'boot-1',
    instanceId: 'one',
    seen: { epoch: 0, generation: 0 },
    waitMs: 0,
    sentAt: 0,
    facts: null,
    attempts: [],
    operations: [],
    sandboxes: [],
    ...change,
  }
}
