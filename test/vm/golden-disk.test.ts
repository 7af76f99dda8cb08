import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureGoldenDisk } from '../../tools/golden-disk/build.js'
import { bootMachine, type GoldenDisk, type Machine } from './machine.ts'

const program = `
cd && mkdir -p src && cd src
cat >main.c <<'C'
#include <stdio.h>
int main(void) { puts("built in a machine of its own"); return 7; }
C
printf 'main: main.c\\n\\tcc -O1 -o $@ $<\\n' >Makefile
make >&2 && ./main
`

describe('the golden disk', () => {
  let golden: GoldenDisk
  const machines: Machine[] = []

  async function boot(name: string): Promise<Machine> {
    const machine = await bootMachine(golden, name)
    machines.push(machine)
    return machine
  }

  beforeAll(async () => {
    golden = await ensureGoldenDisk()
  })

  afterAll(async () => {
    for (const machine of machines) await machine.remove()
  })

  it('boots in software emulation, and builds a C program as an account without rights', async () => {
    const machine = await boot('first-machine')
    expect(machine.run('job', 'hostname; id -un; cat /etc/shadow')).toMatchObject({
      stdout: 'first-machine\njob\n',
      stderr: 'cat: /etc/shadow: Permission denied\n',
    })
    expect(machine.run('job', program)).toMatchObject({ code: 7, stdout: 'built in a machine of its own\n' })
  })

  it('gives each clone the same start: nothing that one wrote is seen by the next, and no two share a host key', async () => {
    const before = statSync(golden.disk).mtimeMs
    const [first, second] = [machines[0] ?? (await boot('first-machine')), await boot('second-machine')]
    const hostKey = (machine: Machine): string => machine.run('root', 'cut -d" " -f2 /run/sshd/host.pub').stdout
    expect(hostKey(first)).toMatch(/^AAAA/)
    expect(hostKey(second)).not.toBe(hostKey(first))
    expect(first.run('root', 'echo mine >/root/file; sync; hostname').stdout).toBe('first-machine\n')
    expect(second.run('root', 'ls /root; hostname').stdout).toBe('second-machine\n')
    expect(statSync(golden.disk).mtimeMs).toBe(before)
  })

  it('is built once: later it comes from the cache as it is, and no part of a build stays beside it', async () => {
    const before = statSync(golden.disk)
    expect(await ensureGoldenDisk()).toEqual(golden)
    const after = statSync(golden.disk)
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs])
    expect(readdirSync(join(golden.disk, '..')).sort()).toEqual(['disk.qcow2', 'initramfs', 'vmlinuz'])
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
