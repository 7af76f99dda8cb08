import { writeSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Where the result goes: what a recipe prints itself is on other pipes. */
const resultPipe = 3
const defineImage = new URL(`../model/image/define-image${extname(import.meta.filename)}`, import.meta.url).href

// `cidery/image` is this very program, wherever the recipe lies.
registerHooks({
  resolve: (name, context, next) => (name === 'cidery/image' ? { url: defineImage, shortCircuit: true } : next(name, context)),
})

/** What JSON would leave out silently. */
function plain(key: string, value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
    throw new TypeError(`${key} is a ${typeof value}; a recipe is data`)
  return value
}

const [, , file = ''] = process.argv
let result: object
try {
  const module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  result =
    module.default === undefined
      ? { error: 'it has no default export; write export default defineImage({ … })' }
      : { recipe: module.default }
  result = JSON.parse(JSON.stringify(result, plain)) as object
} catch (error) {
  result = { error: error instanceof Error ? error.message : String(error) }
}
const bytes = Buffer.from(JSON.stringify(result))
for (let written = 0; written < bytes.length;) written += writeSync(resultPipe, bytes, written)
// Timers of the recipe do not hold it.
process.exit(0)
