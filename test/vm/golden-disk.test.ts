import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ensureGoldenDisk } from '../../tools/golden-disk/build.js'

describe('the golden disk', () => {
  it('is built once: later it comes from the cache as it is, and no part of a build stays beside it', async () => {
    const golden = await ensureGoldenDisk()
    const before = statSync(golden.disk)
    expect(await ensureGoldenDisk()).toEqual(golden)
    const after = statSync(golden.disk)
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs])
    expect(readdirSync(join(golden.disk, '..')).sort()).toEqual(['disk.raw', 'initramfs', 'vmlinuz'])
    expect(readdirSync(join(golden.disk, '..', '..')).filter((name) => name.includes('.part-'))).toEqual([])
  })

  it('takes away what killed builds and older recipes left before it builds, and nothing of a build under way', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cidery-golden-'))
    try {
      for (const name of ['0123456789abcdef', 'aa.part-4194304', `bb.part-${process.pid}`]) mkdirSync(join(folder, name))
      await expect(ensureGoldenDisk({ folder, release: 'no-such-release' })).rejects.toThrow(/mmdebstrap failed/)
      expect(readdirSync(folder)).toEqual([`bb.part-${process.pid}`])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
