import { CideryError } from '../model/errors.ts'

/** Something with a state, as people know it: `host`, `mini-1`. */
interface Subject {
  readonly kind: string
  readonly name: string
  readonly state: string
}

/** CONFLICT unless an action is allowed in the state that something is in; says which states are. */
export function requireState(
  { kind, name, state }: Subject,
  on: { readonly action: string; readonly allowed: readonly string[]; readonly hint: string },
): void {
  const { action, allowed, hint } = on
  if (allowed.includes(state)) return
  const plural = kind.endsWith('x') ? `${kind}es` : `${kind}s`
  throw new CideryError('CONFLICT', `the ${kind} ${name} is ${state}: ${action} is for ${plural} that are ${allowed.join(' or ')}`, {
    hint,
    details: { state, allowed },
  })
}
