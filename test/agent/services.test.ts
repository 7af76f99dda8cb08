import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'plist'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launchd } from '../../src/drivers/services/launchd/launchd.ts'
import type { SystemCommand } from '../../src/drivers/services/system-command.ts'
import { systemd } from '../../src/drivers/services/systemd/systemd.ts'
import {
  agentService,
  installAgentService,
  uninstallAgentService,
  verifyAgent,
  type AgentServiceOptions,
} from '../../src/main/agent-service.ts'
import { CideryError } from '../../src/model/errors.ts'
import { makeManifest, sha256 } from '../../tools/release/archive.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-services-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function options(change: Partial<AgentServiceOptions> = {}): AgentServiceOptions {
  return {
    stateDir: '/var/lib/cidery/agent',
    words: ['--health', '127.0.0.1:8080'],
    user: null,
    desktopSession: false,
    environment: {},
    ...change,
  }
}

/** Notes what would run; answers by the first words that match. */
function recorded(answers: Readonly<Record<string, readonly (readonly [number, string])[]>> = {}): {
  readonly run: SystemCommand
  readonly calls: readonly string[]
} {
  const calls: string[] = []
  const left = new Map(Object.entries(answers).map(([words, list]) => [words, [...list]]))
  return {
    calls,
    run(argv) {
      const line = argv.join(' ')
      calls.push(line)
      for (const [words, list] of left) {
        if (!line.startsWith(words)) continue
        const [code, output] = list.length > 1 ? (list.shift() ?? [0, '']) : (list[0] ?? [0, ''])
        return Promise.resolve({ code, output })
      }
      return Promise.resolve({ code: 0, output: '' })
    },
  }
}

/** Gives a directory to an account without rights, where that can be done, and lets it walk the ones above; gives the UID of the owner. */
function giveAway(directory: string, above: readonly string[]): number {
  const own = process.getuid?.() ?? 0
  if (own !== 0) return own
  const nobody = 65_534
  for (const path of above) chmodSync(path, 0o755)
  chownSync(directory, nobody, nobody)
  return nobody
}

describe('a systemd unit of the agent', () => {
  it('passes systemd-analyze verify, waits for the network, and is restarted with a throttle [003-21] [003-13]', async () => {
    const { run } = recorded()
    const words = ['--health', '127.0.0.1:8080', '--label', 'name=with space', '--odd', '50% of $HOME "quoted" \\ back']
    const manager = systemd({ folder, run })
    await installAgentService({ ...options({ words, environment: { CIDERY_X: 'a "b" $c %d' } }), manager })
    const [name = ''] = readdirSync(folder)
    expect(name).toBe('cidery-agent.service')
    const unit = readFileSync(join(folder, name), 'utf8')
    const checked = execFileSync('systemd-analyze', ['verify', '--man=no', join(folder, name)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    expect(checked).toBe('')
    expect(await systemd({ folder }).check({ path: join(folder, name), content: unit })).toEqual([])
    for (const line of [
      'After=network-online.target',
      'Wants=network-online.target',
      'Restart=always',
      'RestartSec=10',
      'KillMode=process',
      'SuccessExitStatus=75',
      'WantedBy=multi-user.target',
    ]) {
      expect(unit.split('\n')).toContain(line)
    }
    const start = /^ExecStart=(\S+) (\S+) agent run --state (\S+)/m.exec(unit)
    expect(start?.[1]).toBe(process.execPath)
    expect(start?.[2]).toMatch(/^\/.*\/bin\/cidery\.js$/)
    expect(start?.[3]).toBe('/var/lib/cidery/agent')
    expect(unit).toContain('"name=with space"')
    expect(unit).toContain('"50%% of $$HOME \\"quoted\\" \\\\ back"')
  })

  it('starts a release by the link in the state directory, whose releases belong to who owns that', async () => {
    const root = join(folder, 'unpacked')
    const files = ['bin/node', 'bin/cidery.js'].map((path) => [path, join(root, path)])
    mkdirSync(join(root, 'bin'), { recursive: true })
    for (const [, path = ''] of files) writeFileSync(path, '#!/bin/sh\n')
    const manifest = makeManifest({ version: '1.2.3', commit: null, platform: 'linux-x64', node: '26.10.0', files })
    writeFileSync(join(root, 'manifest.json'), manifest)
    // A state directory of an account of its own: nothing in it is written with other rights than that has.
    const stateDir = join(folder, 'agent')
    mkdirSync(stateDir, { mode: 0o700 })
    const owner = giveAway(stateDir, [folder, root])
    const { run, calls } = recorded()
    const manager = systemd({ folder: join(folder, 'units'), run })
    const [done] = await installAgentService({ ...options({ stateDir, root }), manager })
    const path = join(stateDir, 'releases', `1.2.3-${sha256(manifest).slice(0, 16)}`)
    expect(done).toBe(`cidery 1.2.3 is in ${path}`)
    expect(readFileSync(join(folder, 'units', 'cidery-agent.service'), 'utf8')).toContain(
      `ExecStart=${stateDir}/current/bin/node ${stateDir}/current/bin/cidery.js agent run --state ${stateDir} `,
    )
    expect(realpathSync(join(stateDir, 'current'))).toBe(realpathSync(path))
    expect([statSync(path).uid, statSync(join(path, 'bin/node')).uid, process.geteuid?.()]).toEqual([owner, owner, process.getuid?.()])
    expect(calls).toContain('systemctl restart cidery-agent.service')
  })

  it('is found wrong by systemd-analyze when it is', async () => {
    const path = join(folder, 'bad.service')
    writeFileSync(path, '[Service]\nExecStart=relative/path\n')
    expect(await systemd({ folder }).check({ path, content: '' })).not.toEqual([])
  })

  it('is installed, and removed again, by systemctl', async () => {
    const { run, calls } = recorded()
    const manager = systemd({ folder, run })
    await installAgentService({ ...options(), manager })
    await uninstallAgentService({ ...options(), manager })
    expect(calls).toEqual([
      'systemctl daemon-reload',
      'systemctl enable cidery-agent.service',
      'systemctl restart cidery-agent.service',
      'systemctl disable --now cidery-agent.service',
      'systemctl daemon-reload',
    ])
    expect(readdirSync(folder)).toEqual([])
    const failing = systemd({ folder, run: recorded({ 'systemctl enable': [[1, 'no such unit']] }).run })
    await expect(installAgentService({ ...options(), manager: failing })).rejects.toThrow(
      'systemctl enable cidery-agent.service ended with 1: no such unit',
    )
  })
})

interface Plist {
  readonly [key: string]: unknown
}

describe('a launchd property list of the agent', () => {
  it('is read by a parser, starts at boot, stays alive with a throttle, and logs outside /tmp [003-22] [003-13]', () => {
    const { run } = recorded()
    const manager = launchd({ agentFolder: join(folder, 'agents'), daemonFolder: join(folder, 'daemons'), uid: 501, run })
    const file = manager.file(agentService(options({ words: ['--label', 'a<b>&"c"'], user: 'ci' })))
    expect(file.path).toBe(join(folder, 'daemons', 'dev.cidery.agent.plist'))
    const parsed = parse(file.content) as Plist
    expect(parsed).toMatchObject({
      Label: 'dev.cidery.agent',
      RunAtLoad: true,
      KeepAlive: true,
      ThrottleInterval: 10,
      AbandonProcessGroup: true,
      UserName: 'ci',
    })
    expect(parsed['StandardOutPath']).toBe('/var/log/cidery/agent.log')
    expect(parsed['StandardErrorPath']).not.toMatch(/^\/(?:private\/)?tmp/)
    expect((parsed['ProgramArguments'] as string[]).at(-1)).toBe('a<b>&"c"')
    expect(parsed).not.toHaveProperty('LimitLoadToSessionType')
  })

  it('is a LaunchAgent of a desktop session for virtual machines', () => {
    const manager = launchd({ agentFolder: join(folder, 'agents'), uid: 501, run: recorded().run })
    const file = manager.file(agentService(options({ desktopSession: true, user: 'ci' })))
    expect(file.path).toBe(join(folder, 'agents', 'dev.cidery.agent.plist'))
    const parsed = parse(file.content) as Plist
    expect(parsed).toMatchObject({ LimitLoadToSessionType: 'Aqua' })
    expect(parsed).not.toHaveProperty('UserName')
    expect(parsed['StandardOutPath']).toMatch(/Library\/Logs\/cidery\/agent\.log$/)
  })

  it('starts the real program with a configuration that works [001-42]', () => {
    const manager = launchd({ agentFolder: folder, daemonFolder: folder, uid: 501, run: recorded().run })
    const stateDir = join(folder, 'state')
    const parsed = parse(manager.file(agentService(options({ stateDir, words: [] }))).content) as unknown as {
      readonly ProgramArguments: readonly string[]
      readonly EnvironmentVariables: Record<string, string>
    }
    const [node = '', ...words] = parsed.ProgramArguments
    mkdirSync(join(stateDir, 'journal'), { recursive: true, mode: 0o700 })
    const identity = {
      hostId: 'host_1',
      name: 'mini-1',
      controllerUrl: 'http://10.9.8.7:1',
      caFingerprint: null,
      key: 'cidery_key_x',
      nextKey: null,
    }
    writeFileSync(join(stateDir, 'journal', 'identity.json'), JSON.stringify(identity), { mode: 0o600 })
    // It gets as far as the identity that it was enrolled with, without any token: this one is refused for what it is, plain HTTP.
    let code = 0
    let said = ''
    try {
      execFileSync(node, words, { env: parsed.EnvironmentVariables, encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'] })
    } catch (error) {
      const failure = error as { readonly status: number; readonly stderr: string }
      code = failure.status
      said = failure.stderr
    }
    expect(code).toBe(2)
    expect(said).toContain('http://10.9.8.7:1 is another machine')
  })

  it('waits until a busy service is gone before it loads it again', async () => {
    const { run, calls } = recorded({
      'launchctl print': [
        [0, ''],
        [0, ''],
        [0, ''],
        [113, 'Could not find service'],
      ],
      'launchctl bootout': [[36, 'Operation now in progress']],
    })
    const manager = launchd({ agentFolder: folder, daemonFolder: folder, uid: 501, run, pollMs: 1 })
    const service = { ...agentService(options()), logFile: join(folder, 'log', 'agent.log') }
    await manager.install(service)
    expect(calls).toEqual([
      'launchctl print system/dev.cidery.agent',
      'launchctl bootout system/dev.cidery.agent',
      'launchctl print system/dev.cidery.agent',
      'launchctl print system/dev.cidery.agent',
      'launchctl print system/dev.cidery.agent',
      'launchctl enable system/dev.cidery.agent',
      `launchctl bootstrap system ${join(folder, 'dev.cidery.agent.plist')}`,
    ])
  })
})

describe('the service of an agent', () => {
  it('never holds a token', () => {
    expect(() => agentService(options({ words: ['--token', 'cidery_enr_abc'] }))).toThrow(CideryError)
    expect(() => agentService(options({ environment: { CIDERY_ENROL_TOKEN: 'cidery_enr_abc' } }))).toThrow(CideryError)
    expect(() => agentService(options({ stateDir: 'relative' }))).toThrow('is not an absolute path')
  })

  it('is verified requirement by requirement, each passed or failed with what to do [003-49]', async () => {
    const stateDir = join(folder, 'state')
    const manager = systemd({ folder: join(folder, 'units'), run: recorded({ 'systemctl is-active': [[3, '']] }).run })
    const asked = { ...options({ stateDir }), manager, healthUrl: 'http://127.0.0.1:1/health' }
    const before = await verifyAgent(asked)
    expect(existsSync(stateDir)).toBe(false)
    expect(before.filter(({ state }) => state === 'failed').map(({ name }) => name)).toEqual([
      'service file',
      'state directory',
      'one agent runs',
      'controller answers',
      'healthy',
    ])
    expect(before.every(({ state, fix }) => state !== 'failed' || (fix !== null && fix !== ''))).toBe(true)

    mkdirSync(join(stateDir, 'journal'), { recursive: true, mode: 0o700 })
    const identity = {
      hostId: 'host_1',
      name: 'mini-1',
      controllerUrl: 'http://127.0.0.1:1',
      caFingerprint: null,
      key: 'cidery_key_x',
      nextKey: null,
    }
    writeFileSync(join(stateDir, 'journal', 'identity.json'), JSON.stringify(identity), { mode: 0o644 })
    await installAgentService(asked)
    const after = await verifyAgent(asked)
    const failed = after.filter(({ state }) => state === 'failed').map(({ name }) => name)
    expect(failed).toEqual(['service runs', 'key is private', 'one agent runs', 'controller answers', 'healthy'])
    const passed = after.filter(({ state }) => state === 'passed').map(({ name }) => name)
    expect(passed).toEqual(
      expect.arrayContaining([
        'service file',
        'service file is valid',
        'no secret in the service file',
        'restarted when it ends',
        'jobs outlive the agent',
        'state directory is private',
        'enrolled',
      ]),
    )
  })
})
