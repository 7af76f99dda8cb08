// npm links the commands of packages that are installed, not those of the checkout itself. With this link `npx cidery` starts the
// checkout at once; without it npx would install the checkout into a cache of its own first.
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '..', 'node_modules', '.bin')
if (existsSync(join(folder, '..'))) {
  mkdirSync(folder, { recursive: true })
  rmSync(join(folder, 'cidery'), { force: true })
  symlinkSync(join('..', '..', 'bin', 'cidery.js'), join(folder, 'cidery'))
}
