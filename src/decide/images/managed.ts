import { isManagedPolicy } from '../../model/image/managed.ts'
import type { Image, Spec } from '../../model/spec.ts'
import { compareText } from '../sorted-map.ts'

/** A line of images that cidery builds or fetches; one that only has an engine is put on hosts by their operators. */
export interface ManagedLine {
  readonly name: string
  readonly policy: Image
}

/** A spec is immutable, so that its lines are picked out once. */
const picked = new WeakMap<Spec, readonly ManagedLine[]>()

/** The managed lines of a spec, in order of name. */
export function managedLines(spec: Spec): readonly ManagedLine[] {
  const known = picked.get(spec)
  if (known !== undefined) return known
  const lines = Object.entries(spec.images)
    .filter(([, policy]) => isManagedPolicy(policy))
    .map(([name, policy]) => ({ name, policy }))
    .sort((a, b) => compareText(a.name, b.name))
  picked.set(spec, lines)
  return lines
}
