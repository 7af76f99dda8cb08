import { spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { must, run } from '../../src/drivers/engines/commands.ts'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import type { EngineSandbox } from '../../src/ports/engine.ts'
import {
  boot,
  inside,
  leaveRunning,
  leftOf,
  newId,
  ownSettings,
  plainPath,
  removeSettings,
  requestFor,
  shellInside,
} from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

const settings = ownSettings()
const engine = makeUserEngine(settings)

interface Account {
  readonly name: string
  readonly uid: number
  readonly line: string
}

function accounts(): readonly Account[] {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => ({ name: line.split(':')[0] ?? '', uid: Number(line.split(':')[2]), line }))
}

function accountOf(sandbox: EngineSandbox): Account {
  const found = accounts().find(({ name }) => name === sandbox.user)
  if (found === undefined) throw new Error(`there is no account ${sandbox.user}`)
  return found
}

afterEach(async () => {
  for (const { id } of await engine.list()) await engine.destroy(id)
  await eventually(() => expect(accounts().filter(({ name }) => name.startsWith(settings.prefix))).toEqual([]))
})

afterAll(async () => {
  await engine.sweep(new Set())
  await eventually(() => expect(leftOf(settings)).toEqual([]))
  removeSettings(settings)
})

describe('an account per job', () => {
  it('carries the job’s id in its name, and two jobs at once have two users [001-29]', async () => {
    const [one, two] = await Promise.all([boot(engine), boot(engine)])
    const records = readdirSync(`${settings.stateDir}/records`).map(
      (name) => JSON.parse(readFileSync(`${settings.stateDir}/records/${name}`, 'utf8')) as { id: string; jobId: string },
    )
    for (const sandbox of [one, two]) {
      const { jobId } = records.find(({ id }) => id === sandbox.id) ?? { jobId: '' }
      expect(sandbox.user).toBe(`${settings.prefix}${jobId.slice(-20)}`)
      expect((await shellInside(engine, sandbox.id, 'id -un')).stdout).toBe(`${sandbox.user}\n`)
    }
    expect(accountOf(one).uid).not.toBe(accountOf(two).uid)
  })

  it('gives a second try of a job on the same host a name of its own', async () => {
    const jobId = newId('job')
    const [first, second] = [await boot(engine, { jobId }), await boot(engine, { jobId })]
    expect(second.user).toBe(`${first.user}-2`)
  })

  it('has no password, no shell, no sub-UIDs and no group but its own', async () => {
    const sandbox = await boot(engine)
    const { uid, line } = accountOf(sandbox)
    expect(line).toMatch(new RegExp(`:x:${uid}:${uid}:cidery job:${sandbox.paths.home}:/\\S*(?:nologin|false)$`))
    expect(
      readFileSync('/etc/shadow', 'utf8')
        .split('\n')
        .find((entry) => entry.startsWith(`${sandbox.user}:`)),
    ).toMatch(/^[^:]+:!/)
    for (const file of ['/etc/subuid', '/etc/subgid'].filter((path) => existsSync(path)))
      expect(readFileSync(file, 'utf8')).not.toContain(sandbox.user)
    expect((await shellInside(engine, sandbox.id, 'id -G')).stdout).toBe(`${uid}\n`)
    expect(existsSync(sandbox.paths.home)).toBe(false)
  })

  it('never shares a UID, with twenty made at once by two agents [001-32]', async () => {
    const other = `
      import { makeUserEngine } from '${process.cwd()}/src/drivers/engines/user/index.ts'
      const engine = makeUserEngine(${JSON.stringify(settings)})
      const requests = JSON.parse(process.argv[1])
      await Promise.all(requests.map((request) => engine.create(request)))
    `
    const requests = await Promise.all(Array.from({ length: 20 }, () => requestFor(engine)))
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', other, JSON.stringify(requests.slice(0, 10))], {
      stdio: 'inherit',
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await Promise.all(requests.slice(10).map((request) => engine.create(request)))
    expect(await ended).toBe(0)
    const sandboxes = await engine.list()
    expect(sandboxes).toHaveLength(20)
    const uids = sandboxes.map((sandbox) => accountOf(sandbox).uid)
    expect(new Set(uids).size).toBe(20)
    for (const uid of uids) expect(uid).toBeGreaterThanOrEqual(settings.uidRange[0])
    await Promise.all(sandboxes.map(({ id }) => engine.destroy(id)))
  })

  it('gives a UID again only after all others, and then only when nothing of its last owner is found', async () => {
    const small = ownSettings()
    const [first] = small.uidRange
    const wrapping = makeUserEngine({ ...small, uidRange: [first, first + 2] })
    const uids: number[] = []
    const file = `/var/tmp/${small.prefix}left`
    for (let round = 0; round < 5; round += 1) {
      const sandbox = await wrapping.create(await requestFor(wrapping))
      uids.push(accountOf(sandbox).uid)
      await wrapping.destroy(sandbox.id)
      if (round !== 2) continue
      writeFileSync(file, '')
      chownSync(file, first, first)
    }
    rmSync(file)
    expect(uids).toEqual([first, first + 1, first + 2, first + 1, first + 2])
    await wrapping.sweep(new Set())
    expect(leftOf(small)).toEqual([])
    removeSettings(small)
  })

  it('cleans on demand all that jobs left, and says how much it was [001-45] [001-47]', async () => {
    const running = await boot(engine)
    await shellInside(engine, running.id, 'dd if=/dev/zero of=big bs=1M count=20')
    await leaveRunning(engine, running.id, 'exec sleep 300')
    await eventually(async () => expect((await shellInside(engine, running.id, 'ps -eo args | grep -c "[s]leep 300"')).stdout).toBe('1\n'))
    const stopped = await engine.create(await requestFor(engine))
    const report = await engine.sweep(new Set())
    expect(report).toMatchObject({ failures: [] })
    expect([...report.accounts].sort()).toEqual([running.user, stopped.user].sort())
    expect(report.processes).toBeGreaterThanOrEqual(1)
    expect(report.bytes).toBeGreaterThan(20 * 1024 * 1024)
    expect(leftOf(settings)).toEqual([])
    expect(await engine.sweep(new Set())).toEqual({ sandboxes: [], accounts: [], processes: 0, bytes: 0, failures: [] })
  })

  it('cleans one account by name, and refuses every name or UID that is not its own [001-46]', async () => {
    const sandbox = await boot(engine)
    // Other engines on this machine make and remove accounts of their own at the same time.
    const people = (): readonly Account[] => accounts().filter(({ uid }) => uid < 60_000 || uid === 65_534)
    const before = people()
    for (const name of ['root', 'nobody', '', '--cleanup-all', 'bin/../root', sandbox.user.slice(1)]) {
      await expect(engine.clean(name)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    }
    await expect(engine.clean(`${settings.prefix}nobody`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    // A person whose name starts like a job's: the UID tells.
    const person = `${settings.prefix}person`
    await must(['useradd', '-l', '-M', '-u', String(settings.uidRange[1] + 100), person])
    try {
      await expect(engine.clean(person)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect((await engine.sweep(new Set([sandbox.id]))).accounts).toEqual([])
      expect(accounts().map(({ name }) => name)).toContain(person)
    } finally {
      await must(['userdel', person])
    }
    const report = await engine.clean(sandbox.user)
    expect(report).toMatchObject({ sandboxes: [sandbox.id], accounts: [sandbox.user], failures: [] })
    expect(people()).toEqual(before)
  })

  it('removes an account that no record speaks of', async () => {
    const [name, uid] = [`${settings.prefix}lost`, settings.uidRange[1]]
    await must(['groupadd', '-g', String(uid), name])
    await must(['useradd', '-l', '-M', '-u', String(uid), '-g', String(uid), name])
    expect(await engine.sweep(new Set())).toMatchObject({ accounts: [name], sandboxes: [], failures: [] })
    expect(accounts().map(({ name }) => name)).not.toContain(name)
    expect(await engine.list()).toEqual([])
  })

  it('says what it could not remove, is not ready until that is gone, and then is [001-36]', async () => {
    const sandbox = await boot(engine)
    const { uid } = accountOf(sandbox)
    const stuck = `/var/tmp/${settings.prefix}stuck`
    writeFileSync(stuck, '')
    chownSync(stuck, uid, uid)
    await must(['chattr', '+i', stuck])
    try {
      await expect(engine.destroy(sandbox.id)).rejects.toMatchObject({
        code: 'SANDBOX_RESIDUE',
        message: expect.stringContaining(stuck) as string,
      })
      expect((await engine.list())[0]).toMatchObject({ id: sandbox.id, state: 'broken' })
      expect(await engine.check(null)).toMatchObject({ ok: false, reason: expect.stringContaining(stuck) as string })
      expect((await engine.sweep(new Set())).failures).toHaveLength(1)
      // Its account stays as long as something is its own.
      expect(accountOf(sandbox).uid).toBe(uid)
    } finally {
      await must(['chattr', '-i', stuck])
    }
    await engine.destroy(sandbox.id)
    expect(existsSync(stuck)).toBe(false)
    expect(await engine.check(null)).toMatchObject({ ok: true })
  })

  it('is not ready when the disk is too full', async () => {
    const full = ownSettings()
    await must(['mount', '-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', full.stateDir])
    try {
      const checked = makeUserEngine(full)
      expect(await checked.check(null)).toMatchObject({ ok: true })
      await run(['dd', 'if=/dev/zero', `of=${full.stateDir}/fill`, 'bs=1k', 'count=9300'])
      const proof = await checked.check(null)
      expect(proof.ok).toBe(false)
      expect(proof.reason).toMatch(/the disk of .* is 9\d % full/)
    } finally {
      await must(['umount', full.stateDir])
      removeSettings(full)
    }
  })

  it('mends owner and mode of its directory, and its files stay closed [000-50]', async () => {
    const sandbox = await engine.create(await requestFor(engine))
    const record = `${settings.stateDir}/records/${sandbox.id}.json`
    chmodSync(settings.stateDir, 0o777)
    chownSync(settings.stateDir, settings.uidRange[1], settings.uidRange[1])
    chmodSync(record, 0o666)
    expect(await engine.check(null)).toMatchObject({ ok: true })
    expect(statSync(settings.stateDir)).toMatchObject({ uid: 0 })
    expect(statSync(settings.stateDir).mode & 0o777).toBe(0o700)
    expect(statSync(record).mode & 0o777).toBe(0o600)
    expect(statSync(`${settings.stateDir}/images/${sandbox.user}.img`).mode & 0o777).toBe(0o600)
    const broken = ownSettings()
    rmSync(broken.stateDir, { recursive: true })
    writeFileSync(broken.stateDir, '')
    expect(await makeUserEngine(broken).check(null)).toMatchObject({
      ok: false,
      reason: expect.stringContaining(broken.stateDir) as string,
    })
    rmSync(broken.stateDir)
  })

  it('runs what the operator wants after each sandbox; without it, or when it fails, nothing is wrong [001-48]', async () => {
    const said = `${settings.stateDir}/said`
    const life = async (afterSandbox: readonly [string, ...string[]]): Promise<void> => {
      const hooked = makeUserEngine({ ...settings, afterSandbox })
      await hooked.destroy((await boot(hooked)).id)
    }
    await life(['/bin/sh', '-c', `sync; echo dropped >>${said}`])
    expect(readFileSync(said, 'utf8')).toBe('dropped\n')
    await life(['/bin/false'])
    await life(['/nowhere/purge'])
    await engine.destroy((await boot(engine)).id)
    rmSync(said)
  })

  it('keeps the exact code of every exit, 0 to 255', async () => {
    const { id } = await boot(engine)
    for (let first = 0; first < 256; first += 8) {
      const codes = Array.from({ length: 8 }, (_, more) => first + more)
      const ends = await Promise.all(codes.map((code) => inside(engine, id, { argv: ['/bin/sh', '-c', `exit ${code}`], env: plainPath })))
      expect(ends.map(({ code }) => code)).toEqual(codes)
    }
  })

  it('takes out what shells add to an environment, unless the job was given it', async () => {
    const { id } = await boot(engine)
    const env = { ...plainPath, PWD: '/given', SHLVL: '7', A: "x\n'y" }
    const told = await inside(engine, id, { argv: ['/usr/bin/env', '-0'], env })
    expect(told.stdout.split('\0').filter(Boolean).sort()).toEqual(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
    )
  })

  it('boots again after a restart that left a holder without a record of it', async () => {
    const sandbox = await boot(engine)
    const path = `${settings.stateDir}/records/${sandbox.id}.json`
    await shellInside(engine, sandbox.id, 'echo kept >file')
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), holder: null }))
    expect((await engine.list())[0]?.state).toBe('stopped')
    await engine.start(sandbox.id)
    expect((await shellInside(engine, sandbox.id, 'cat file')).stdout).toBe('kept\n')
    mkdirSync(`${settings.stateDir}/places/${settings.prefix}stray`)
    await engine.sweep(new Set([sandbox.id]))
    expect(readdirSync(`${settings.stateDir}/places`)).toEqual([sandbox.user])
  })

  it('works with directories for disks where that is wanted, says so, and does not claim to limit them', async () => {
    const plain = ownSettings()
    const open = makeUserEngine({ ...plain, diskFiles: false })
    expect((await open.probe()).capabilities.limits).toEqual(['cpu', 'memory', 'processes'])
    await expect(open.create(await requestFor(open, { limits: 'enforced' }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: 'this host cannot limit disk',
    })
    const sandbox = await boot(open, { blockedAddresses: ['no-such-host.invalid'], network: 'nat' })
    expect(sandbox.notes).toEqual(['no-such-host.invalid could not be shut off: it has no address now'])
    const told = await shellInside(
      open,
      sandbox.id,
      'echo x >file; echo x >/tmp/file; ( : >/usr/file ) 2>/dev/null || echo closed; stat -c %U file; perl -e \'for (1..2000) { mkdir "d" x 50; chdir "d" x 50 or last }\'',
    )
    expect(told.stdout).toBe(`closed\n${sandbox.user}\n`)
    await open.stop(sandbox.id, 0)
    await open.start(sandbox.id)
    expect((await shellInside(open, sandbox.id, 'cat file')).stdout).toBe('x\n')
    expect(await open.sweep(new Set())).toMatchObject({ accounts: [sandbox.user], failures: [] })
    await eventually(() => expect(leftOf(plain)).toEqual([]))
    removeSettings(plain)
  })
})
