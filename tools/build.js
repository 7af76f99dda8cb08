// `npm run build`: plain JavaScript in dist/ for the published package, and the dashboard in web/dist. `--web` builds only the
// dashboard, `--no-web` only the program.
import { cpSync, existsSync, globSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { endOnSignals, root, run } from './run.js'

async function step(argv) {
  const { code, output } = await run(argv)
  if (code === 0) return
  console.error(output.trim())
  console.error(`Building stopped: ${argv.join(' ')} ended with ${code}.`)
  process.exit(1)
}

async function buildProgram() {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  await step(['tsc', '-p', 'tsconfig.json', '--noEmitOnError'])
  // What recipes in TypeScript import is typed where cidery is installed.
  await step(['tsc', '-p', 'tsconfig.types.json'])
  // What the program reads beside its code goes with it.
  // A program of a guest has no ending.
  const files = globSync('src/**/*', { cwd: root }).filter((name) => !/\.tsx?$/.test(name) && statSync(join(root, name)).isFile())
  for (const file of files) {
    const target = join(root, 'dist', file.slice('src/'.length))
    mkdirSync(dirname(target), { recursive: true })
    cpSync(join(root, file), target, { recursive: true })
  }
  console.log(`dist: ${globSync('dist/**/*.js', { cwd: root }).length} modules`)
}

async function buildWeb() {
  if (!existsSync(join(root, 'web', 'vite.config.ts'))) return
  await step(['vite', 'build', 'web', '--logLevel', 'warn'])
  console.log(`web/dist: ${globSync('web/dist/**/*.*', { cwd: root }).length} files`)
}

endOnSignals()
if (!process.argv.includes('--web')) await buildProgram()
if (!process.argv.includes('--no-web')) await buildWeb()
