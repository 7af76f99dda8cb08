/** How much of a costly test to do: all of it, or a small part when the mutation runner does it a thousand times over. */
export function effort(whole: number, part: number): number {
  return process.env['STRYKER_MUTATOR_WORKER'] === undefined ? whole : part
}
