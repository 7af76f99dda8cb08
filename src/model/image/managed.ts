import type { Image, Spec } from '../spec.ts'

/** Whether cidery builds or fetches an image; one that only has an engine is put on hosts by their operators. */
export function isManagedPolicy({ recipe, registry }: Image): boolean {
  return recipe !== undefined || registry !== undefined
}

/** The policy of an image that cidery builds or fetches; null for all others. */
export function managedPolicy({ images }: Pick<Spec, 'images'>, image: string): Image | null {
  const policy = Object.hasOwn(images, image) ? images[image] : undefined
  return policy !== undefined && isManagedPolicy(policy) ? policy : null
}

export function isManaged(spec: Pick<Spec, 'images'>, image: string): boolean {
  return managedPolicy(spec, image) !== null
}
