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
const { output } = await cruise(places, { ...config.options, ruleSet: { forbidden: config.forbidden }, validate: true })
const read = new Set(output.modules.filter((module) => !module.coreModule).map((module) => module.source))
const unread = files.filter((file) => !read.has(file))

for (const { rule, from, to, cycle } of output.summary.violations) {
  const why = config.forbidden.find((entry) => entry.name === rule.name)?.comment ?? ''
  console.error(`${rule.name}: ${from} → ${cycle === undefined ? to : cycle.map((step) => step.name).join(' → ')}\n  ${why}`)
}
if (files.length === 0) console.error('No module below src/ was read: the folder rules checked nothing.')
if (unread.length > 0) console.error(`Not read, and so not checked: ${unread.join(', ')}`)
const edges = output.summary.totalDependenciesCruised
if (files.length > 20 && edges === 0) console.error('No import was seen: the transpiler (@swc/core) is missing.')
const red = output.summary.violations.length > 0 || files.length === 0 || unread.length > 0 || (files.length > 20 && edges === 0)
if (!red) console.log(`${read.size} modules, ${edges} imports, every rule kept`)
process.exitCode = red ? 1 : 0
