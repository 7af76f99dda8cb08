import { second } from './instant.ts'
import { operationLimits, type OperationKind, type OperationLimits } from './operation.ts'
import type { Spec } from './spec.ts'

/** Limits of a kind of operation: what the request says, else the spec, else the defaults. */
export function limitsFor(
  spec: Spec,
  kind: OperationKind,
  wanted: { readonly warningS?: number | undefined; readonly hardS?: number | undefined } = {},
): OperationLimits {
  const set = spec.limits.operations[kind] ?? {}
  const standard = operationLimits[kind]
  const hard = wanted.hardS === undefined ? (set.hard ?? standard.hard) : wanted.hardS * second
  const warning = wanted.warningS === undefined ? (set.warning ?? standard.warning) : wanted.warningS * second
  return { hard, warning: Math.min(warning, hard), reconnect: set.reconnect ?? standard.reconnect }
}
