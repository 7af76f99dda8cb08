import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adoptRelease } from '../../src/drivers/releases/folder/adopt.ts'
import { ReleaseManifest } from '../../src/model/release.ts'
import { makeManifest, placed, sha256, writeArchive } from '../../tools/release/archive.js'
import { run } from '../../tools/run.js'
import { controllerOf, temporaryDirectory } from './processes.ts'
import { waitFor } from './wait.ts'

const platform = `${process.platform}-${process.arch}`
/** The programs of a base system, and no Node. */
const bare = { PATH: '' }
const number = process.pid % 200
const place = (offset: number) => ({
  prefix: `r${number.toString(36)}${offset}-`,
  uidRange: [910_000 + number * 200 + offset * 100, 910_099 + number * 200 + offset * 100],
  netRange: `198.19.${number}.${offset * 128}/25`,
})

let directory: Awaited<ReturnType<typeof temporaryDirectory>>
let release: string
let archive: string
let version: string
const children: ChildProcess[] = []

function start(
  program: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess & { readonly logFile: string } {
  const logFile = join(directory.path, `process-${children.length}.log`)
  const log = openSync(logFile, 'a')
  const child = spawn(program, words, { env: { ...bare, HOME: directory.path, ...env }, stdio: ['ignore', log, log], cwd: '/' })
  closeSync(log)
  children.push(child)
  return Object.assign(child, { logFile })
}

function cidery(words: readonly string[], env: Readonly<Record<string, string>>) {
  const { status, stdout, stderr } = spawnSync(join(release, 'bin', 'cidery'), words, {
    encoding: 'utf8',
    env: { ...bare, HOME: directory.path, ...env },
    cwd: '/',
    timeout: 240_000,
  })
  return { status, stdout, stderr }
}

/** A folder of links to every program of this machine but Node's own. */
function toolsWithoutNode(): string {
  const tools = join(directory.path, 'tools')
  mkdirSync(tools)
  const names = new Map<string, string>()
  for (const folder of ['/bin', '/sbin', '/usr/bin', '/usr/sbin'])
    for (const name of readdirSync(folder)) names.set(name, join(folder, name))
  for (const [name, path] of names) if (!/^(?:node|nodejs|npm|npx|corepack)$/.test(name)) symlinkSync(path, join(tools, name))
  return tools
}

beforeAll(async () => {
  directory = await temporaryDirectory('release')
  bare.PATH = toolsWithoutNode()
  const { code, output } = await run(['node', 'tools/dist.js', '--fast', '--platform', platform, '--into', directory.path])
  expect([code, code === 0 ? '' : output]).toEqual([0, ''])
  version = (JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { readonly version: string }).version
  archive = join(directory.path, `cidery-${version}-${platform}.tar.gz`)
  const { status } = spawnSync('tar', ['-x', '-z', '-f', archive, '-C', directory.path])
  expect(status).toBe(0)
  release = join(directory.path, `cidery-${version}-${platform}`)
}, 300_000)

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await gone
  }
  await directory.remove()
}, 120_000)

/** The next version of the same release, as an archive. */
async function nextVersion(): Promise<{ readonly path: string; readonly release: string }> {
  const { files } = ReleaseManifest.parse(JSON.parse(await readFile(join(release, 'manifest.json'), 'utf8')))
  const own = join(directory.path, 'package.json')
  const text = await readFile(join(release, 'package.json'), 'utf8')
  await writeFile(own, text.replace(`"version": "${version}"`, '"version": "99.0.0"'))
  const sources: [string, string][] = placed(release, Object.keys(files)).map(([path = '', from = '']) => [
    path,
    path === 'package.json' ? own : from,
  ])
  const manifest = makeManifest({ version: '99.0.0', commit: null, platform, node: process.versions.node, files: sources })
  const path = join(directory.path, 'next.tar.gz')
  await writeArchive(path, { folder: 'cidery', manifest, files: sources, mtime: new Date(0), level: 1 })
  return { path, release: sha256(manifest) }
}

describe('a release on a machine without Node', () => {
  it('brings up a controller and an agent, and runs a job', async () => {
    expect(spawnSync('/bin/sh', ['-c', 'command -v node'], { env: bare }).status).not.toBe(0)
    const state = join(directory.path, 'up')
    await mkdir(join(state, 'agent'), { recursive: true, mode: 0o700 })
    await writeFile(join(state, 'agent', 'agent.yaml'), JSON.stringify({ engines: { user: place(0) } }), { mode: 0o600 })
    const up = start(join(release, 'bin', 'cidery'), ['up', '--state', state, '--listen', '127.0.0.1:0'], {})
    await controllerOf(state, { child: up, logFile: up.logFile, kill: () => Promise.resolve(), stop: () => Promise.resolve() })
    const ran = cidery(['run', '--source', 'none', '--', 'sh', '-c', 'echo from a release; exit 3'], { CIDERY_STATE: state })
    expect([ran.status, ran.stdout]).toEqual([3, 'from a release\n'])
    const page = await fetch((JSON.parse(await readFile(join(state, 'controller.json'), 'utf8')) as { readonly url: string }).url)
    expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
  })

  it('is upgraded to the next one with the Node of that, while a job runs', async () => {
    const state = join(directory.path, 'controller')
    const env = { CIDERY_STATE: state }
    const controller = start(join(release, 'bin', 'cidery'), ['controller', 'run', '--state', state, '--listen', '127.0.0.1:0'], {})
    const { url } = await controllerOf(state, {
      child: controller,
      logFile: controller.logFile,
      kill: () => Promise.resolve(),
      stop: () => Promise.resolve(),
    })
    const added = JSON.parse(cidery(['host', 'add', '--name', 'host-1', '--output', 'json'], env).stdout) as { readonly token: string }
    const agentState = join(directory.path, 'agent')
    await mkdir(agentState, { mode: 0o700 })
    await writeFile(join(agentState, 'agent.yaml'), JSON.stringify({ engines: { user: place(1) } }), { mode: 0o600 })
    await adoptRelease(release, agentState)
    const bin = join(agentState, 'current', 'bin')
    const words = [join(bin, 'cidery.js'), 'agent', 'run', '--url', url, '--state', agentState]
    const agent = start(join(bin, 'node'), words, { CIDERY_ENROL_TOKEN: added.token })
    const submitted = cidery(['run', '--detach', '--source', 'none', '--output', 'json', '--', 'sh', '-c', 'sleep 20; exit 6'], env)
    const { id } = JSON.parse(submitted.stdout) as { readonly id: string }
    const jobNow = () =>
      JSON.parse(cidery(['job', 'show', id, '--output', 'json'], env).stdout) as {
        readonly state: string
        readonly outcome: unknown
        readonly attempts: readonly unknown[]
      }
    await waitFor('the job to run', async () => jobNow().state === 'running', 120_000)

    const next = await nextVersion()
    const upgraded = cidery(['agent', 'upgrade', 'host-1', '--from', next.path, '--output', 'json'], env)
    expect([upgraded.status, upgraded.status === 0 ? '' : `${upgraded.stdout}${upgraded.stderr}`]).toEqual([0, ''])
    const shown = JSON.parse(cidery(['host', 'show', 'host-1', '--output', 'json'], env).stdout) as {
      readonly facts: { readonly agentVersion: string; readonly agentRelease: { readonly sha256: string } }
    }
    expect([shown.facts.agentVersion, shown.facts.agentRelease.sha256]).toEqual(['99.0.0', next.release])
    // The agent's process is the one that was started, and now a program of the new release.
    await waitFor(
      'the process to be the new release',
      async () => spawnSync('readlink', [`/proc/${agent.pid ?? 0}/exe`], { encoding: 'utf8' }).stdout.includes('/releases/99.0.0-'),
      60_000,
    )
    await waitFor('the job to end', async () => jobNow().state === 'ended', 120_000)
    expect(jobNow()).toMatchObject({ outcome: { kind: 'exited', code: 6 } })
    expect(jobNow().attempts).toHaveLength(1)
  })
})
