import type { z } from 'zod'
import type * as api from '../../../model/image-api.ts'
import type { ImageState } from '../../../model/image/state.ts'
import { relativeTime } from '../../render/time.ts'

export type ImageView = z.infer<typeof api.ImageView>
export type BuildView = z.infer<typeof api.BuildView>
export type { ImageState }

/** A list that is sent whole. */
export interface Whole<T> {
  readonly items: readonly T[]
}

/** What is going on with an image, in a word or two. */
export function imageStatus({ underWay, canary, failure, promoted, asked }: ImageView): string {
  if (underWay !== null) return `building: ${underWay.phases.at(-1)?.phase ?? 'waiting'}`
  if (canary !== null) return 'canary'
  if (failure !== null) return `failed ${failure.count} times`
  if (asked !== null) return 'build asked for'
  return promoted === null ? 'no build' : 'ready'
}

/** Whose age, in words. */
export function ageText(age: number | null): string {
  return age === null ? '-' : relativeTime(0, age)
}
