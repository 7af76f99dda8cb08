import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root } from '../../tools/run.js'

/** A Node that says it is an old one. The real old one is not on every machine. */
const oldNode = ['--import', 'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.20.2"}})']

const program = `export async function main(args: readonly string[]): Promise<number> {
  console.log(JSON.stringify({ args, entry: process.argv[1], node: process.versions.node }))
  return args[0] === 'seven' ? 7 : 0
}
`

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
}

let folder = ''

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-launcher-'))
  write('checkout/package.json', '{ "type": "module" }\n')
  mkdirSync(join(folder, 'checkout', 'bin'))
  cpSync(join(root, 'bin', 'cidery.js'), join(folder, 'checkout', 'bin', 'cidery.js'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function start(argv: readonly string[], onOutput?: (child: ReturnType<typeof spawn>) => void): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } })
    let output = ''
    const collect = (chunk: Buffer): void => {
      output += chunk.toString()
      if (output.includes('ready')) onOutput?.(child)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('close', (code, signal) => resolve({ code, signal, output }))
  })
}

const launcher = (place = 'checkout'): string => join(folder, place, 'bin', 'cidery.js')

/** Puts this Node where `npm ci` puts the one it brings. */
function bringNode(): void {
  mkdirSync(join(folder, 'checkout', 'node_modules', 'node', 'bin'), { recursive: true })
  symlinkSync(process.execPath, join(folder, 'checkout', 'node_modules', 'node', 'bin', 'node'))
}

describe('the launcher', () => {
  it('runs the TypeScript of a checkout and ends with its code', async () => {
    write('checkout/src/main/cidery.ts', program)
    const { code, output } = await start([launcher(), 'seven', '--flag'])
    expect(JSON.parse(output)).toMatchObject({ args: ['seven', '--flag'], entry: join(folder, 'checkout', 'src', 'main', 'cidery.ts') })
    expect(code).toBe(7)
  })

  it('runs the JavaScript of an installed package, even when sources lie beside it', async () => {
    const place = 'elsewhere/node_modules/cidery'
    cpSync(join(folder, 'checkout'), join(folder, place), { recursive: true })
    write(`${place}/src/main/cidery.ts`, program)
    write(`${place}/dist/main/cidery.js`, "export const main = () => console.log('from dist')\n")
    const { code, output } = await start([launcher(place)])
    expect(output).toBe('from dist\n')
    expect(code).toBe(0)
  })

  it('goes over to the Node of node_modules when started by an old one, with code and arguments', async () => {
    write('checkout/src/main/cidery.ts', program)
    bringNode()
    const { code, output } = await start([...oldNode, launcher(), 'seven'])
    expect(JSON.parse(output)).toMatchObject({ args: ['seven'], node: process.versions.node })
    expect(code).toBe(7)
  })

  it('passes a signal on and ends by it', async () => {
    write('checkout/src/main/cidery.ts', "console.log('ready')\nsetInterval(() => undefined, 1000)\n")
    bringNode()
    const ended = await start([...oldNode, launcher()], (child) => child.kill('SIGTERM'))
    expect(ended).toEqual({ code: null, signal: 'SIGTERM', output: 'ready\n' })
  })

  it('says which Node it needs when there is only an old one', async () => {
    write('checkout/src/main/cidery.ts', program)
    const { code, output } = await start([...oldNode, launcher()])
    expect(output).toContain('cidery needs Node 26 or newer; this is Node 20.20.2')
    expect(output).toContain('Next: install Node 26')
    expect(code).toBe(125)
  })

  it('says what is missing when neither source nor build is there', async () => {
    const { code, output } = await start([launcher()])
    expect(output).toContain('Next: npm run build')
    expect(code).toBe(125)
  })
})
