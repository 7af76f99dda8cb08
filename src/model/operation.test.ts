import { expect, it } from 'vitest'
import { minute, second } from './instant.ts'
import { isTerminalOperation, operationCan, operationLimits, OperationRequest, operationStates, operationTransitions } from './operation.ts'

it('has the states and moves that clients know', () => {
  expect(operationStates).toHaveLength(16)
  expect(operationTransitions).toMatchInlineSnapshot(`
    {
      "AWAITING_RECONNECT": [
        "SUCCESS",
        "ERROR",
        "TIMEOUT",
        "STALE_BINARY",
        "SUSPICIOUS",
        "KILLED",
      ],
      "BLOCKED": [
        "VALIDATING",
        "EXECUTING",
        "SKIPPED",
        "KILLED",
        "TIMEOUT",
      ],
      "ERROR": [],
      "EXECUTING": [
        "RUNNING_WARNING",
        "TIMEOUT_PENDING",
        "AWAITING_RECONNECT",
        "KILLING",
        "SUCCESS",
        "ERROR",
        "PARTIAL",
        "STALE_BINARY",
        "SUSPICIOUS",
      ],
      "KILLED": [],
      "KILLING": [
        "KILLED",
        "TIMEOUT",
        "SUCCESS",
        "ERROR",
        "PARTIAL",
      ],
      "PARTIAL": [],
      "PENDING": [
        "VALIDATING",
        "SKIPPED",
        "KILLED",
        "TIMEOUT",
      ],
      "RUNNING_WARNING": [
        "TIMEOUT_PENDING",
        "AWAITING_RECONNECT",
        "KILLING",
        "SUCCESS",
        "ERROR",
        "PARTIAL",
        "STALE_BINARY",
        "SUSPICIOUS",
      ],
      "SKIPPED": [],
      "STALE_BINARY": [],
      "SUCCESS": [],
      "SUSPICIOUS": [],
      "TIMEOUT": [],
      "TIMEOUT_PENDING": [
        "RUNNING_WARNING",
        "KILLING",
        "SUCCESS",
        "ERROR",
        "PARTIAL",
        "TIMEOUT",
      ],
      "VALIDATING": [
        "BLOCKED",
        "EXECUTING",
        "SKIPPED",
        "ERROR",
        "KILLED",
        "TIMEOUT",
      ],
    }
  `)
  expect(operationStates.filter(isTerminalOperation)).toEqual(operationStates.slice(8))
})

it('has limits per kind of request', () => {
  const usual = { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second }
  const quick = { warning: 2 * minute, hard: 5 * minute, reconnect: 90 * second }
  expect(operationLimits).toEqual({
    exec: usual,
    restartAgent: quick,
    upgradeAgent: { warning: 5 * minute, hard: 15 * minute, reconnect: 5 * minute },
    reboot: { warning: 10 * minute, hard: 30 * minute, reconnect: 10 * minute },
    probe: { warning: 5 * minute, hard: 10 * minute, reconnect: 90 * second },
    clean: usual,
    sandboxCreate: usual,
    sandboxStart: quick,
    sandboxStop: quick,
    sandboxRemove: quick,
    sandboxReset: usual,
    sandboxSnapshot: usual,
  })
})

it.each([
  { kind: 'exec', command: ['true'] },
  { kind: 'restartAgent', drain: true },
  {
    kind: 'upgradeAgent',
    blob: '0'.repeat(64),
    sizeBytes: 1,
    version: '1.0.0',
    release: '1'.repeat(64),
    allowDowngrade: false,
    deadlineS: 60,
  },
  { kind: 'reboot' },
  { kind: 'probe' },
  { kind: 'clean' },
  { kind: 'sandboxCreate', sandboxId: 's', engine: 'user', image: null, ttlS: 1 },
  { kind: 'sandboxStart', sandboxId: 's' },
  { kind: 'sandboxStop', sandboxId: 's' },
  { kind: 'sandboxReset', sandboxId: 's' },
  { kind: 'sandboxRemove', sandboxId: 's' },
  { kind: 'sandboxSnapshot', sandboxId: 's', name: 'n' },
])('may be asked for as $kind, with all its fields and no others', (request) => {
  expect(OperationRequest.parse(request)).toEqual(request)
  for (const key of Object.keys(request)) expect(OperationRequest.safeParse({ ...request, [key]: undefined }).success).toBe(false)
  expect(OperationRequest.safeParse({ ...request, other: 1 }).success).toBe(false)
})

it('is refused beyond its bounds', () => {
  const words = (count: number) => OperationRequest.safeParse({ kind: 'exec', command: Array.from({ length: count }, () => 'x') }).success
  expect([words(0), words(1), words(1000), words(1001)]).toEqual([false, true, true, false])
  const create = { kind: 'sandboxCreate', sandboxId: 's', engine: 'user', image: 'm' }
  expect([0, 1, 1.5].map((ttlS) => OperationRequest.safeParse({ ...create, ttlS }).success)).toEqual([false, true, false])
})

it('can be killed until it has ended, and extended from the moment that its limits count', () => {
  expect(operationStates.filter((state) => !isTerminalOperation(state))).toEqual([...operationCan.kill])
  expect(operationCan.kill.filter((state) => state !== 'PENDING')).toEqual([...operationCan.extend])
})

it('warns before it ends, whatever the kind', () => {
  for (const { warning, hard } of Object.values(operationLimits)) expect(warning).toBeLessThan(hard)
})
