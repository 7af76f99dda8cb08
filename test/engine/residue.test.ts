import { spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { must, run } from '../../src/drivers/engines/commands.ts'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { boot, leaveRunning, leftOf, ownSettings, removeSettings, shellInside } from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

const settings = ownSettings()
const temporary = mkdtempSync('/tmp/cidery-residue-')
const dockerSocket = `${temporary}/docker.sock`
const engine = makeUserEngine({ ...settings, dockerSocket })

function uidOf(user: string): number {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${user}:`))
  return Number(line?.split(':')[2])
}

/** Runs a program as the job's user, but on the host itself: what a hole in the sandbox would let a job do. */
function asUser(uid: number, ...words: readonly string[]): Promise<string> {
  return must(['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups', ...words])
}

/** A Docker engine as its clients see it: things with labels, listed by filter, removed by name. */
function dockerDouble(things: Map<string, string>, answer: { status: number }): Server {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://docker')
    const [, kind = '', name = ''] = url.pathname.split('/')
    response.statusCode = answer.status
    if (request.method === 'DELETE') {
      response.statusCode = things.delete(`${kind}/${decodeURIComponent(name)}`) ? 204 : 404
      response.end()
      return
    }
    const { label = [] } = JSON.parse(url.searchParams.get('filters') ?? '{}') as { label?: string[] }
    const names = [...things]
      .filter(([thing, its]) => thing.startsWith(`${kind}/`) && label.includes(its))
      .map(([thing]) => thing.split('/')[1])
    const listed = names.map((found) => ({ Id: found, Name: found }))
    response.end(JSON.stringify(kind === 'volumes' ? { Volumes: listed } : listed))
  })
}

afterEach(async () => {
  await engine.sweep(new Set())
})

afterAll(async () => {
  await eventually(() => expect(leftOf(settings)).toEqual([]))
  rmSync(temporary, { recursive: true, force: true })
  removeSettings(settings)
})

describe('what a job could leave', () => {
  it('is gone after it, each kind: caches, temporary files, cores, mounts, shared memory, semaphores, queues, mail, cron, lingering [001-35 on double]', async () => {
    const sandbox = await boot(engine)
    const { user, id, paths } = sandbox
    const uid = uidOf(user)
    await shellInside(
      engine,
      id,
      'mkdir -p ~/.cache/tool ~/.config/systemd/user; echo x >~/.cache/tool/file; echo x >/tmp/inside; echo x >/var/tmp/inside; echo x >/dev/shm/inside; echo x >/run/lock/inside',
      { HOME: paths.home },
    )
    await shellInside(engine, id, 'ipcmk -M 4096; ipcmk -S 1; ipcmk -Q')
    await leaveRunning(engine, id, 'exec sleep 300')
    const named = ['/tmp', '/var/tmp', '/dev/shm', '/run/lock']
      .filter((path) => existsSync(path))
      .map((path) => `${path}/${settings.prefix}${uid}`)
    for (const path of named) await asUser(uid, 'mkdir', '-p', `${path}/deep/er`)
    const files = [
      `/var/mail/${user}`,
      `/var/spool/cron/crontabs/${user}`,
      `/var/lib/systemd/linger/${user}`,
      `/var/lib/systemd/coredump/core.sh.${uid}.boot.1.zst`,
    ]
    const parents: string[] = []
    for (const file of files) {
      const parent = file.slice(0, file.lastIndexOf('/'))
      if (!existsSync(parent)) parents.push(mkdirSync(parent, { recursive: true }) ?? parent)
      writeFileSync(file, '')
    }
    chownSync(files[0] ?? '', uid, uid)
    for (const words of [
      ['ipcmk', '-M', '4096'],
      ['ipcmk', '-S', '2'],
      ['ipcmk', '-Q'],
    ] as const)
      await asUser(uid, ...words)
    await must(['mount', '-t', 'tmpfs', 'tmpfs', `${settings.stateDir}/places/${user}`])
    const escaped = spawn('setpriv', ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', 'sleep', '300'], {
      detached: true,
      stdio: 'ignore',
    })
    try {
      await eventually(() => expect(readFileSync(`/proc/${escaped.pid ?? 0}/comm`, 'utf8')).toBe('sleep\n'))
      await engine.destroy(id)
      for (const path of [...named, ...files, paths.home]) expect([path, existsSync(path)]).toEqual([path, false])
      for (const kind of ['shm', 'sem', 'msg'])
        expect(readFileSync(`/proc/sysvipc/${kind}`, 'utf8')).not.toMatch(new RegExp(`\\b${uid}\\b`))
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(user)
      expect((await run(['losetup', '-a'])).stdout).not.toContain(user)
      await engine.sweep(new Set())
      expect(leftOf(settings)).toEqual([])
    } finally {
      for (const path of [...named, ...files, ...parents]) rmSync(path, { recursive: true, force: true })
    }
  })

  it('is gone after it: containers, volumes and networks with its label, and nobody else’s [001-35 on double]', async () => {
    const sandbox = await boot(engine)
    const own = `cidery.sandbox=${sandbox.id}`
    const things = new Map([
      ['containers/c1', own],
      ['containers/c2', 'cidery.sandbox=att_other'],
      ['volumes/a/b', own],
      ['volumes/v1', own],
      ['networks/n1', own],
      ['networks/n2', ''],
    ])
    things.delete('volumes/a/b')
    const answer = { status: 200 }
    const docker = dockerDouble(things, answer)
    await new Promise<void>((resolve) => docker.listen(dockerSocket, resolve))
    try {
      // An engine that is there and does not answer may run anything: the sandbox does not count as gone.
      answer.status = 500
      await expect(engine.destroy(sandbox.id)).rejects.toMatchObject({
        code: 'SANDBOX_RESIDUE',
        message: expect.stringContaining('docker') as string,
      })
      answer.status = 200
      await engine.destroy(sandbox.id)
      expect([...things.keys()]).toEqual(['containers/c2', 'networks/n2'])
    } finally {
      docker.closeAllConnections()
      await new Promise((resolve) => docker.close(resolve))
    }
    await engine.destroy((await boot(engine)).id)
  })
})
