import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { root, run } from '../../tools/run.js'

const settings = [
  '.dependency-cruiser.js',
  '.gitignore',
  '.oxfmtrc.json',
  '.oxlintrc.json',
  'knip.json',
  'package.json',
  'package-lock.json',
  'tsconfig.check.json',
  'tsconfig.json',
  'tsconfig.pure.json',
  'vitest.config.ts',
]

export interface SeededCopy {
  readonly folder: string
  write(path: string, text: string): void
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<{ code: number; output: string }>
  remove(): void
}

/** The project's settings and tools in a folder of their own, without its sources: a place to put a bad file and see what turns red. */
export function seededCopy(files: Readonly<Record<string, string>> = {}): SeededCopy {
  const folder = mkdtempSync(join(tmpdir(), 'cidery-tooling-'))
  for (const name of settings) if (existsSync(join(root, name))) cpSync(join(root, name), join(folder, name))
  cpSync(join(root, 'tools'), join(folder, 'tools'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  for (const [path, text] of Object.entries(files)) write(path, text)
  return {
    folder,
    write,
    run: async (argv, env = {}) => {
      const { code, output } = await run([...argv], { cwd: folder, timeoutMs: 120_000, env: { NO_COLOR: '1', ...env } })
      return { code, output }
    },
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }),
  }
}
