// The folder rules. dependency-cruiser reads TypeScript only with a transpiler beside it and is otherwise green about nothing at all,
// so the number of modules it read is checked against the number of files that are there.
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { cruise } from 'dependency-cruiser'
import config from '../.dependency-cruiser.js'
import { root } from './run.js'

const folder = process.argv[2] ?? root
process.chdir(folder)
const places = ['src', 'bin'].filter((place) => existsSync(join(folder, place)))
const files = globSync('src/**/*.ts', { cwd: folder })

/** Reads every module below the places; a file that the transpiler cannot read is named instead of thrown. */
async function read() {
  try {
    const { output } = await cruise(places, { ...config.options, ruleSet: { forbidden: config.forbidden }, validate: true })
    return output
  } catch (error) {
    const file = /\.\.\. in (.+)/.exec(error.message)?.[1] ?? 'a file'
    console.error(`The folder rules could not read ${file}; write it so that the transpiler (@swc/core) can, too.`)
    console.error(error.message.split('Stack backtrace')[0].replace('Extracting dependencies ran afoul of...', '').trim())
    return process.exit(1)
  }
}

const output = await read()
const sources = new Set(output.modules.filter((module) => !module.coreModule).map((module) => module.source))
const unread = files.filter((file) => !sources.has(file))

for (const { rule, from, to, cycle } of output.summary.violations) {
  const why = config.forbidden.find((entry) => entry.name === rule.name)?.comment ?? ''
  console.error(`${rule.name}: ${from} → ${cycle === undefined ? to : cycle.map((step) => step.name).join(' → ')}\n  ${why}`)
}
if (files.length === 0) console.error('No module below src/ was read: the folder rules checked nothing.')
if (unread.length > 0) console.error(`Not read, and so not checked: ${unread.join(', ')}`)
const edges = output.summary.totalDependenciesCruised
if (files.length > 20 && edges === 0) console.error('No import was seen: the transpiler (@swc/core) is missing.')
const red = output.summary.violations.length > 0 || files.length === 0 || unread.length > 0 || (files.length > 20 && edges === 0)
if (!red) console.log(`${sources.size} modules, ${edges} imports, every rule kept`)
process.exitCode = red ? 1 : 0
