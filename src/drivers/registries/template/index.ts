import { CideryError } from '../../../model/errors.ts'
import type { RegistryClient } from '../make-registry.ts'

function notMade(what: string): Promise<never> {
  return Promise.reject(
    new CideryError('UNSUPPORTED', `the template registry cannot ${what}`, { hint: 'copy this folder, then add a line to registry.ts' }),
  )
}

/** Where a new protocol starts: compiles, does nothing, is not in the registry. */
export function createTemplateRegistry(): RegistryClient {
  return {
    resolve: () => notMade('resolve a name'),
    readManifest: () => notMade('read a manifest'),
    readBlob: () => ({ [Symbol.asyncIterator]: () => ({ next: () => notMade('read a blob') }) }),
    hasBlob: () => notMade('look for a blob'),
    writeBlob: () => notMade('write a blob'),
    writeManifest: () => notMade('write a manifest'),
    listTags: () => notMade('list tags'),
    deleteManifest: () => notMade('delete a manifest'),
    close: () => undefined,
  }
}
