import { CideryError } from '../../model/errors.ts'
import type { Api } from './api.ts'
import type { SpecDiff, SpecView } from './views.ts'

export interface SpecSource {
  readonly source: string
  /** Name of the file, for messages. */
  readonly file: string
}

/** What applying a spec would change, and the generation of the spec in force that this was compared with. */
export async function checkSpec(api: Api, { source, file }: SpecSource): Promise<{ readonly diff: SpecDiff; readonly generation: number }> {
  const { generation } = await api.get<SpecView>('/spec')
  const diff = await api.call<SpecDiff>('PUT', '/spec', { body: { source, file, dryRun: true }, ifMatch: generation })
  return { diff, generation }
}

/** Applies a spec, if the one in force is still the one that the person looked at. */
export async function applySpec(api: Api, { source, file, generation }: SpecSource & { readonly generation: number }): Promise<SpecDiff> {
  try {
    return await api.call<SpecDiff>('PUT', '/spec', { body: { source, file, dryRun: false }, ifMatch: generation })
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'STALE_GENERATION') throw error
    // Our own first try may have been carried out and only its answer lost.
    const now = await api.get<SpecView>('/spec')
    if (now.source === source) return { generation: now.generation, applied: true, changes: [], consequences: [] }
    throw new CideryError(
      'STALE_GENERATION',
      `somebody changed the spec meanwhile (now generation ${now.generation}, by ${now.appliedBy})`,
      {
        hint: `look again: cidery plan -f ${file}`,
      },
    )
  }
}
