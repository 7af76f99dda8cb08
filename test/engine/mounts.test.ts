import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { boot, ownSettings, removeSettings, requestFor, shellInside } from './support/engine-under-test.ts'

describe('a directory of the host that a job sees', () => {
  const settings = ownSettings()
  let folder: string
  let shown: string
  let engine: Engine

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'cidery-mount-')))
    shown = join(folder, 'allowed', 'a check out')
    mkdirSync(join(shown, '.git'), { recursive: true })
    writeFileSync(join(shown, 'a file'), 'of the host\n')
    writeFileSync(join(shown, '.git', 'HEAD'), 'ref: refs/heads/main\n')
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other', 'secret'), 'not to be seen\n')
    engine = makeUserEngine({ ...settings, mounts: [join(folder, 'allowed')], hiddenDirs: [join(folder, 'allowed', 'hidden')] })
  })
  afterEach(async () => {
    for (const { id } of await engine.list()) await engine.destroy(id)
  })
  afterAll(() => {
    removeSettings(settings)
    rmSync(folder, { recursive: true, force: true })
  })

  it('is there with all that is in it, can be read and not changed, and is whole when the sandbox is gone', async () => {
    const sandbox = await boot(engine, { mount: shown })
    expect(sandbox.mounted).toBe('/run/cidery/source')
    const script = 'cd "$1"; cat "a file" .git/HEAD; touch new 2>/dev/null || echo refused; rm -rf . "a file" 2>/dev/null; ls -A'
    const told = await shellInside(engine, sandbox.id, `set -- ${sandbox.mounted ?? ''}; ${script}`)
    expect(told.stdout).toBe('of the host\nref: refs/heads/main\nrefused\n.git\na file\n')
    await engine.stop(sandbox.id, 0)
    await engine.start(sandbox.id)
    expect((await shellInside(engine, sandbox.id, 'cat /run/cidery/source/*file')).stdout).toBe('of the host\n')
    await engine.destroy(sandbox.id)
    expect(readFileSync(join(shown, 'a file'), 'utf8')).toBe('of the host\n')
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('a\\040check\\040out')
  })

  it('is refused outside of what the host allows: other directories, links that lead there, files, what is hidden, what is not there', async () => {
    symlinkSync(join(folder, 'other'), join(folder, 'allowed', 'link'))
    mkdirSync(join(folder, 'allowed', 'hidden'))
    const wrong = [
      join(folder, 'other'),
      join(folder, 'allowed', 'link'),
      join(folder, 'allowed', '..', 'other'),
      join(shown, 'a file'),
      join(folder, 'allowed', 'hidden'),
      join(folder, 'allowed'),
      join(folder, 'allowed', 'nowhere'),
    ]
    for (const path of wrong) {
      await expect(engine.create(await requestFor(engine, { mount: path }))).rejects.toMatchObject({ code: 'MOUNT_REFUSED' })
    }
    const none = makeUserEngine(settings)
    await expect(none.create(await requestFor(none, { mount: shown }))).rejects.toMatchObject({
      code: 'MOUNT_REFUSED',
      message: 'this host lets no job see its directories',
    })
    expect(await engine.list()).toEqual([])
  })

  it('is refused at the boot when it became a link meanwhile', async () => {
    const moving = join(folder, 'allowed', 'moving')
    mkdirSync(moving)
    const { id } = await engine.create(await requestFor(engine, { mount: moving }))
    rmSync(moving, { recursive: true })
    symlinkSync(join(folder, 'other'), moving)
    await expect(engine.start(id)).rejects.toMatchObject({ code: 'MOUNT_REFUSED' })
    expect(existsSync(join(folder, 'other', 'secret'))).toBe(true)
  })
})
