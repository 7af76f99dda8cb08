import { describe, expect, it } from 'vitest'
import type { Ran } from '../../commands.ts'
import type { SandboxRecord } from '../record.ts'
import { readSettings } from '../settings.ts'
import type { MacCommand } from './commands.ts'
import { MacAccounts } from './isolation.ts'
import type { MacSystem } from './isolation.ts'

const config = readSettings({ stateDir: '/var/cidery' })

const record: SandboxRecord = {
  id: 'att_01k00000000000000000000001',
  jobId: 'job_01k00000000000000000000002',
  account: 'bk-00000000000000000002',
  uid: 600_001,
  home: '/home/bk-00000000000000000002',
  shape: { cpu: 1, memoryMiB: 1024, diskMiB: 1024 },
  limits: 'advisory',
  network: 'host',
  blockedAddresses: [],
  mount: null,
  networkSlot: null,
  phase: 'ready',
  createdAt: 0,
  holder: null,
  residue: [],
  notes: [],
}

/** A Mac that writes down what it is told and answers from a table; answers in a list are given one after the other. */
function macDouble(answers: Readonly<Record<string, string | readonly string[]>> = {}): MacSystem & { readonly transcript: string[] } {
  const transcript: string[] = []
  const asked = new Map<string, number>()
  function answer(command: MacCommand): Ran {
    const line = command.join(' ')
    transcript.push(line)
    const key = Object.keys(answers).find((start) => line.startsWith(start)) ?? ''
    const given = answers[key] ?? ''
    const times = asked.get(key) ?? 0
    asked.set(key, times + 1)
    const stdout = typeof given === 'string' ? given : (given[Math.min(times, given.length - 1)] ?? '')
    return { code: 0, signal: null, stdout, stderr: '' }
  }
  return {
    transcript,
    run: (command) => Promise.resolve(answer(command)),
    must: (command) => Promise.resolve(answer(command).stdout),
    kill: (pid, signal) => void transcript.push(`kill ${signal} ${pid}`),
    exists: (path) => !path.startsWith('/Users/') && !path.startsWith('/private/var/'),
    bootId: () => 'boot-1',
  }
}

describe('accounts on macOS', () => {
  it('are made without password, shell, admin group or visible face', async () => {
    const mac = macDouble()
    await new MacAccounts(config, mac).build(record)
    expect(mac.transcript).toMatchInlineSnapshot(`
      [
        "/usr/bin/dscl . -create /Groups/bk-00000000000000000002",
        "/usr/bin/dscl . -create /Groups/bk-00000000000000000002 PrimaryGroupID 600001",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 UniqueID 600001",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 PrimaryGroupID 600001",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 NFSHomeDirectory /Users/bk-00000000000000000002",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 UserShell /usr/bin/false",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 RealName cidery job",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 Password *",
        "/usr/bin/dscl . -create /Users/bk-00000000000000000002 IsHidden 1",
        "/bin/mkdir -p -m 0700 /Users/bk-00000000000000000002",
        "/usr/sbin/chown 600001:600001 /Users/bk-00000000000000000002",
        "/bin/chmod 0700 /Users/bk-00000000000000000002",
        "/usr/bin/sudo -n -u #600001 -- /bin/mkdir -p -m 0700 /Users/bk-00000000000000000002/work /Users/bk-00000000000000000002/tmp /Users/bk-00000000000000000002/.secrets",
      ]
    `)
  })

  it('are removed with everything that was theirs: launchd jobs, processes, memory, mounts, files, then the account', async () => {
    const mac = macDouble({
      '/bin/ps': [
        '  501     0     0 Ss   /sbin/launchd\n  777 600001 600001 S    /usr/bin/make\n  778 600001     0 Z    (dead)\n',
        '  1 0 0 Ss launchd\n',
      ],
      '/usr/bin/ipcs': [
        'T     ID     KEY        MODE       OWNER    GROUP\nm  65536 0x00000000 --rw------- bk-00000000000000000002 staff\ns 131072 0x00000000 --ra------- root wheel\n',
        '',
      ],
      '/sbin/mount': '/dev/disk3s1 on / (apfs, local)\n/dev/disk9s1 on /Users/bk-00000000000000000002/work/My Disk (hfs, local, nodev)\n',
      '/usr/bin/find': ['/private/tmp/left\n', '', ''],
      '/usr/bin/du': '2048\t/Users/bk-00000000000000000002\n',
      '/usr/bin/dscl . -list': 'root 0\nnobody -2\n',
    })
    const removed = await new MacAccounts(config, mac).clean(record)
    expect(removed).toEqual({ processes: 1, bytes: 2_097_152, left: [] })
    expect(mac.transcript).toMatchInlineSnapshot(`
      [
        "/bin/ps -axo pid=,uid=,ruid=,stat=,comm=",
        "/bin/launchctl bootout gui/600001",
        "/bin/launchctl bootout user/600001",
        "/bin/ps -axo pid=,uid=,ruid=,stat=,comm=",
        "/usr/bin/ipcs -a",
        "/usr/bin/ipcrm -m 65536",
        "/sbin/mount",
        "/usr/sbin/diskutil unmount force /Users/bk-00000000000000000002/work/My Disk",
        "/usr/bin/du -skx /Users/bk-00000000000000000002",
        "/usr/bin/find /private/tmp /private/var/tmp /private/var/folders /private/var/at /cores /Users/Shared -xdev -user 600001 -print",
        "/usr/bin/find /private/tmp /private/var/tmp /private/var/folders /private/var/at /cores /Users/Shared -xdev -user 600001 -depth -delete",
        "/bin/rm -rf /Users/bk-00000000000000000002 /private/var/mail/bk-00000000000000000002 /private/var/at/tabs/bk-00000000000000000002",
        "/bin/ps -axo pid=,uid=,ruid=,stat=,comm=",
        "/usr/bin/find /private/tmp /private/var/tmp /private/var/folders /private/var/at /cores /Users/Shared -xdev -user 600001 -print",
        "/usr/bin/ipcs -a",
        "/usr/sbin/sysadminctl -deleteUser bk-00000000000000000002 -keepHome",
        "/usr/bin/dscl . -delete /Users/bk-00000000000000000002",
        "/usr/bin/dscl . -delete /Groups/bk-00000000000000000002",
        "/usr/bin/dscl . -list /Users UniqueID",
        "/usr/bin/dscl . -list /Groups PrimaryGroupID",
      ]
    `)
  })

  it('keep the account as long as something of it is left, and name that', async () => {
    const mac = macDouble({ '/usr/bin/find': '/private/tmp/stuck\n', '/bin/ps': '', '/usr/bin/dscl . -list': '' })
    const removed = await new MacAccounts(config, mac).clean(record)
    expect(removed.left).toEqual(['file /private/tmp/stuck'])
    expect(mac.transcript.some((line) => line.includes('-deleteUser'))).toBe(false)
  })

  it('are entered by launchd domain and UID, with the job’s environment in carriers only', () => {
    const { argv, env } = new MacAccounts(config, macDouble()).launch(record, {
      argv: ['make', 'all'],
      env: { PATH: '/usr/bin', TOKEN: 'very-secret', DYLD_INSERT_LIBRARIES: '/evil' },
    })
    expect(argv.slice(0, 8)).toEqual([
      '/bin/launchctl',
      'asuser',
      '600001',
      '/usr/bin/sudo',
      '-n',
      '-u',
      '#600001',
      '--preserve-env=CIDERY_ENV_0,CIDERY_ENV_1,CIDERY_ENV_2',
    ])
    expect(argv.slice(-2)).toEqual(['make', 'all'])
    expect(argv).not.toContain('-u PATH')
    expect(argv.join(' ')).toContain('-u SUDO_COMMAND')
    expect(argv.join(' ')).not.toContain('-u PATH')
    expect(argv.join(' ')).not.toContain('very-secret')
    expect(env).toEqual({ CIDERY_ENV_0: 'PATH=/usr/bin', CIDERY_ENV_1: 'TOKEN=very-secret', CIDERY_ENV_2: 'DYLD_INSERT_LIBRARIES=/evil' })
  })

  it('are touched only when name and UID are both the engine’s', async () => {
    const mac = macDouble({ '/usr/bin/dscl . -list /Users': 'bk-person 501\nsomebody 600002\nbk-00000000000000000002 600001\n' })
    const isolation = new MacAccounts(config, mac)
    expect(await isolation.accounts()).toEqual([{ name: 'bk-00000000000000000002', uid: 600_001 }])
    for (const foreign of [
      { account: 'bk-person', uid: 501 },
      { account: 'somebody', uid: 600_002 },
    ]) {
      await expect(isolation.clean({ ...record, ...foreign })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    }
    expect(mac.transcript.filter((line) => !line.includes('-list'))).toEqual([])
  })

  it('get no UID that an account or group has, nor one that still owns something after the range wrapped', async () => {
    const answers = {
      '/usr/bin/dscl . -list /Users': 'a 600001\n',
      '/usr/bin/dscl . -list /Groups': 'b 600002\n',
      '/bin/ps': ' 9 600003 600003 S sh\n',
      '/usr/bin/find': '',
    }
    const isolation = new MacAccounts(config, macDouble(answers))
    const used = await Promise.all([600_001, 600_002, 600_003, 600_004].map((uid) => isolation.uidIsUsed(uid, true)))
    expect(used).toEqual([true, true, true, false])
    expect(await isolation.uidIsUsed(600_003, false)).toBe(false)
  })

  it('end politely first: TERM, the grace, launchd’s domains, KILL', async () => {
    const mac = macDouble({ '/bin/ps': [' 9 600001 600001 S sh\n', ' 9 600001 600001 S sh\n', ''] })
    expect(await new MacAccounts(config, mac).end(record, 30)).toBe(1)
    expect(mac.transcript.filter((line) => !line.startsWith('/bin/ps'))).toEqual([
      'kill SIGTERM 9',
      '/bin/launchctl bootout gui/600001',
      '/bin/launchctl bootout user/600001',
    ])
  })

  it('say what macOS cannot do, and are down after a reboot', async () => {
    const isolation = new MacAccounts(config, macDouble())
    expect(await isolation.facts()).toMatchObject({ networks: ['host'], limits: [], broken: [] })
    const { holder } = await isolation.boot()
    expect(isolation.isUp({ ...record, holder })).toBe(true)
    expect(isolation.isUp({ ...record, holder: { pid: 0, startTime: '0', bootId: 'boot-0' } })).toBe(false)
    expect(isolation.paths(record).home).toBe('/Users/bk-00000000000000000002')
  })
})
