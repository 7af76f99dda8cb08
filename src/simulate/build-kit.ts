import type { BuildLogs } from '../ports/build-logs.ts'
import type { IngredientStore } from '../ports/ingredients.ts'

/** Ingredients of recipes that bring nothing: no file, no download. */
export function emptyIngredients(): IngredientStore {
  return {
    unpack: () =>
      Promise.resolve({
        file: (path) => Promise.reject(new Error(`no simulated recipe brings ${path}`)),
        download: (url) => Promise.reject(new Error(`no simulated recipe downloads ${url}`)),
        packageVersion: () => null,
        close: () => Promise.resolve(),
      }),
    sweep: () => Promise.resolve(),
  }
}

/** Logs of builds in memory. */
export function memoryBuildLogs(): BuildLogs {
  const logs = new Map<string, Buffer>()
  const of = (id: string): Buffer => logs.get(id) ?? Buffer.alloc(0)
  return {
    async append(id, bytes) {
      logs.set(id, Buffer.concat([of(id), bytes]))
    },
    length: (id) => Promise.resolve(of(id).length),
    read: (id, offset, limit) => Promise.resolve(of(id).subarray(offset, offset + limit)),
    removeOlder: () => Promise.resolve([]),
  }
}
