import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import type { Engine, EngineSandbox } from '../../src/ports/engine.ts'
import {
  boot,
  inside,
  leaveRunning,
  leftOf,
  ownSettings,
  plainPath,
  privateDirectory,
  removeSettings,
  shellInside,
} from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

/** Everything a job tries here runs for real, as the job's user in its sandbox. What it must not reach is made by root beforehand. */
describe('a job that attacks', () => {
  const settings = ownSettings()
  // Beside the engine's own directory, and in a place that is not hidden by being private: as an agent's state could be.
  const agentDir = mkdtempSync('/opt/cidery-agent-')
  const openDir = mkdtempSync('/opt/cidery-open-')
  const token = 'cidery_key_not-for-jobs'
  let engine: Engine
  let sandbox: EngineSandbox

  beforeAll(() => {
    chmodSync(openDir, 0o755)
    engine = makeUserEngine({ ...settings, hiddenDirs: [agentDir] })
    writeFileSync(`${agentDir}/key`, token, { mode: 0o600 })
    writeFileSync(`${privateDirectory(settings.stateDir, 'secret')}/key`, token, { mode: 0o600 })
    process.env['CIDERY_TEST_TOKEN'] = token
  })

  afterEach(async () => {
    for (const { id } of await engine.list()) await engine.destroy(id)
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    expect(processes.length).toBeGreaterThan(1)
  })

  afterAll(async () => {
    await engine.sweep(new Set())
    rmSync(`${settings.stateDir}/secret`, { recursive: true })
    expect(leftOf(settings)).toEqual([])
    for (const directory of [agentDir, openDir]) rmSync(directory, { recursive: true, force: true })
    removeSettings(settings)
  })

  async function job(script: string, env: Readonly<Record<string, string>> = {}): Promise<Awaited<ReturnType<typeof inside>>> {
    sandbox = await boot(engine)
    return shellInside(engine, sandbox.id, script, env)
  }

  it('cannot read the agent’s token: not its file, not its environment, not its memory [001-41]', async () => {
    // The very same look as root finds it, so that a look that finds nothing means something.
    expect(readFileSync(`/proc/${process.pid}/environ`, 'utf8').length).toBeGreaterThan(0)
    const told = await job(`
      cat ${agentDir}/key ${settings.stateDir}/secret/key
      ls -la ${agentDir} ${settings.stateDir}
      cat /proc/${process.pid}/environ /proc/*/environ | tr '\\0' '\\n' | grep -a TOKEN
      cat /proc/${process.pid}/mem /proc/1/mem /proc/1/environ
      ls /proc/1/root/ /proc/1/cwd/
      env
      ls /proc | grep -c '^${process.pid}$'
    `)
    expect(told.stdout).not.toContain(token)
    expect(told.stderr).toContain(`${agentDir}/key`)
    expect(told.stdout.trim().endsWith('\n0')).toBe(true)
  })

  it('cannot become more than it is: no sudo, no setuid program, no capability, no group [001-31]', async () => {
    copyFileSync('/usr/bin/id', `${openDir}/root-id`)
    chmodSync(`${openDir}/root-id`, 0o4755)
    const victim = await boot(engine)
    await shellInside(engine, victim.id, 'echo private >~/file; chmod 777 ~/file', { HOME: victim.paths.home })
    const told = await job(`
      ${openDir}/root-id -u
      sudo -n id -u; echo password | su -c 'id -u'; pkexec id -u
      id -G
      cat ${victim.paths.home}/file; ls ${victim.paths.home}; cd ${victim.paths.home}
      cat /etc/shadow; cat ${agentDir}/key
      cp /usr/bin/id ./mine; chmod 4755 ./mine; ./mine -u
      grep -h '^Cap' /proc/self/status | sort -u
    `)
    const uid = (await shellInside(engine, sandbox.id, 'id -u')).stdout.trim()
    const caps = ['CapAmb', 'CapBnd', 'CapEff', 'CapInh', 'CapPrm'].map((name) => `${name}:\t0000000000000000`)
    expect(told.stdout.trim().split('\n')).toEqual([uid, uid, uid, ...caps])
    expect(Number(uid)).toBeGreaterThanOrEqual(settings.uidRange[0])
    // Also on the host, outside all namespaces, the home of another job is closed.
    expect((await shellInside(engine, victim.id, 'stat -c %a ~', { HOME: victim.paths.home })).stdout.trim()).toBe('700')
  })

  it('cannot see, signal or trace a process of another job, of the host, or the one that holds it', async () => {
    const victim = await boot(engine)
    const pid = await leaveRunning(engine, victim.id, 'touch up; exec sleep 300')
    await eventually(async () => expect((await shellInside(engine, victim.id, 'ls')).stdout).toBe('up\n'))
    const attach = { x64: 101, arm64: 117 }[process.arch as 'x64' | 'arm64']
    const told = await job(`
      kill -9 -1; kill -9 ${pid} ${process.pid} 1
      perl -e 'for (1, 2, ${pid}) { print syscall(${attach}, 16, $_, 0, 0) == 0 ? "traced $_\\n" : "" }'
      nsenter -t 1 -a id; nsenter -t 1 -m id; nsenter -t 1 -p id
      ps -eo user= | grep -v ^root | sort -u | wc -l
    `)
    expect(told.stdout).not.toContain('traced')
    expect(told.stdout).not.toContain('uid=')
    expect((await engine.list()).map(({ state }) => state)).toEqual(['running', 'running'])
    expect((await shellInside(engine, victim.id, 'ps -eo args | grep -c "[s]leep 300"')).stdout).toBe('1\n')
  })

  it('cannot uncover what is hidden by making a user namespace of its own', async () => {
    const told = await job(`
      unshare -Urm sh -c 'umount /home; umount /tmp; umount ${agentDir}; ls ${agentDir} ${settings.stateDir} /home; mount -o remount,rw /; touch /escaped; mkdir /tmp/o; mount -t overlay -o lowerdir=/,upperdir=/tmp,workdir=/tmp/o o /mnt && ls /mnt${agentDir}'
      unshare -Urmp --fork --mount-proc sh -c 'cat /proc/1/root${agentDir}/key'
    `)
    expect(told.stdout).not.toContain('key')
    expect(existsSync('/escaped')).toBe(false)
  })

  it('cannot run code as root through its environment', async () => {
    // The loader writes one file per program that it is asked to tell about, with the rights of that program.
    const told = await job('true', {
      LD_DEBUG: 'libs',
      LD_DEBUG_OUTPUT: '/tmp/loaded',
      LD_PRELOAD: '/tmp/evil.so',
      BASH_ENV: '/tmp/evil.sh',
      ENV: '/tmp/evil.sh',
      PERL5OPT: '-Mevil',
    })
    expect(told.code).toBe(0)
    const owners = await shellInside(engine, sandbox.id, "stat -c '%U' /tmp/loaded.* | sort -u")
    expect(owners.stdout.trim()).toBe(sandbox.user)
  })

  it('cannot change anything outside its own directories', async () => {
    chmodSync(openDir, 0o777)
    const told = await job(`
      for place in / /usr /etc /opt ${openDir} /var /var/spool/cron /var/crash /dev /run /home /sys /proc/sys/kernel; do
        ( : >$place/left-by-job ) 2>/dev/null && echo "wrote $place"
      done
      ( echo 1 >/proc/sys/net/ipv4/ip_forward ) 2>/dev/null && echo wrote forwarding
      ( echo x >/proc/sysrq-trigger ) 2>/dev/null && echo wrote sysrq
      mknod ./disk b 254 0 && echo made a device
      exit 0
    `)
    expect(told).toMatchObject({ code: 0, stdout: '' })
    expect(existsSync(`${openDir}/left-by-job`)).toBe(false)
  })

  it('cannot leave at jobs, cron jobs, user units or a lingering session', async () => {
    const told = await job(
      `
      echo '* * * * * touch /tmp/x' | crontab - && echo cron
      echo 'touch /tmp/x' | at now + 1 minute && echo at
      echo 'touch /tmp/x' | batch && echo batch
      systemd-run --user --on-active=1 touch /tmp/x && echo unit
      loginctl enable-linger && echo linger
      mkdir -p ~/.config/systemd/user/default.target.wants && echo '[Service]' >~/.config/systemd/user/default.target.wants/x.service
      ls -A /run/user; ls -A /run/dbus /run/systemd 2>/dev/null
      exit 0
    `,
      { HOME: '' },
    )
    expect(told.stdout).toBe('')
    const { user, id } = sandbox
    await engine.destroy(id)
    const places = [
      '/var/spool/cron/crontabs',
      '/var/spool/cron',
      '/var/spool/cron/atjobs',
      '/var/spool/at',
      '/var/lib/systemd/linger',
    ].filter((path) => existsSync(path))
    for (const place of places) expect(readdirSync(place)).not.toContain(user)
  })

  it('cannot keep a process after the end: forked twice, in its own session, ignoring signals, hidden by name [001-33]', async () => {
    sandbox = await boot(engine)
    await leaveRunning(
      engine,
      sandbox.id,
      `
      perl -e 'use POSIX; for (1..3) { fork and exit; POSIX::setsid() } $SIG{TERM} = $SIG{HUP} = "IGNORE"; $0 = "kworker/0:1"; open F, ">up"; while (1) { sleep 1 }' &
      setsid setsid sh -c 'trap "" TERM HUP INT; : >up2; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &
    `,
    )
    await eventually(async () => expect((await shellInside(engine, sandbox.id, 'ls')).stdout).toBe('up\nup2\n'))
    const uid = Number((await shellInside(engine, sandbox.id, 'id -u')).stdout)
    expect(processesOfUid(uid).length).toBeGreaterThanOrEqual(2)
    await engine.stop(sandbox.id, 200)
    expect(processesOfUid(uid)).toEqual([])
  })

  it('cannot fill the disk of the host: /tmp, /var/tmp and its home together are as big as its shape says', async () => {
    const before = statfsSync(settings.stateDir)
    const told = await job(
      `
      for file in ~/work/a /tmp/b /var/tmp/c; do dd if=/dev/zero of=$file bs=1M count=300 2>&1 | grep -c 'No space left'; done
      for number in $(seq 20000); do : >/tmp/n$number || break; done 2>/dev/null
      echo over
    `,
      { HOME: '/nowhere' },
    )
    expect(told.stdout).toContain('over')
    const used = (await shellInside(engine, sandbox.id, 'df -m --output=size /tmp | tail -1')).stdout.trim()
    expect(Number(used)).toBeLessThanOrEqual(128)
    const after = statfsSync(settings.stateDir)
    expect((before.bavail - after.bavail) * before.bsize).toBeLessThan(2048 * 1024 * 1024)
    await engine.destroy(sandbox.id)
    expect(existsSync(`${settings.stateDir}/images/${sandbox.user}.img`)).toBe(false)
  })

  it('cannot fill the process table', async () => {
    const bounded = makeUserEngine({ ...settings, maxProcesses: 50 })
    sandbox = await boot(bounded)
    // Every child forks on for ever, and none dies of a refusal (a shell's bomb may be over before anybody counts): it takes another name.
    const bomb = '$0 = "refused", select undef, undef, undef, 0.05 unless defined fork'
    await leaveRunning(bounded, sandbox.id, `perl -e 'while (1) { ${bomb} }'`)
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith(sandbox.user))
    const uid = Number(/:(\d+):/.exec(line ?? '')?.[1])
    await eventually(() => {
      expect(
        processesOfUid(uid)
          .map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
          .join(''),
      ).toContain('refused')
    })
    const full = processesOfUid(uid).length
    expect(full).toBeGreaterThan(20)
    expect(full).toBeLessThanOrEqual(50)
    await bounded.destroy(sandbox.id)
  })

  it('cannot take more memory or CPU than its shape, nor hide memory in shared files', async () => {
    sandbox = await boot(engine, { shape: { cpu: 0.5, memoryMiB: 64, diskMiB: 64 } })
    const hog = await inside(engine, sandbox.id, {
      argv: ['/usr/bin/perl', '-e', '$x = "a" x 200_000_000; print length $x'],
      env: plainPath,
    })
    expect(hog).toMatchObject({ code: null, signal: 'SIGKILL', stdout: '' })
    expect((await shellInside(engine, sandbox.id, 'dd if=/dev/zero of=/dev/shm/x bs=1M count=100')).code).not.toBe(0)
    await shellInside(engine, sandbox.id, 'rm -f /dev/shm/x')
    const busy = await inside(engine, sandbox.id, {
      argv: ['/usr/bin/perl', '-e', 'my $end = time + 3; 1 while time < $end; my ($user, $system) = times; print $user + $system'],
      env: plainPath,
    })
    // Half a CPU for 2–3 s of wall time; a whole one would be 2 s and more.
    expect(Number(busy.stdout)).toBeLessThan(1.9)
  })

  it('cannot make root write through its links when a file is put, or when its sandbox is started again', async () => {
    sandbox = await boot(engine)
    const { id, paths } = sandbox
    await shellInside(
      engine,
      id,
      `cd /; rm -rf ${paths.work} ${paths.temporary} && ln -s /etc ${paths.work} && ln -s ${openDir} ${paths.temporary}; rm -rf ${paths.secrets}/* ; ln -s /etc/cron.d ${paths.secrets}/d`,
    )
    for (const path of [`${paths.work}/cidery-attack`, `${paths.temporary}/file`, `${paths.secrets}/d/job`]) {
      chmodSync(openDir, 0o755)
      await expect(engine.putFile(id, path, Buffer.from('x'), 0o600)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
    }
    await engine.stop(id, 0)
    await engine.start(id)
    expect(existsSync('/etc/cidery-attack') || existsSync('/etc/cron.d/job') || existsSync(`${openDir}/file`)).toBe(false)
    const told = await inside(engine, id, { argv: ['/usr/bin/stat', '-c', '%U', '/etc', openDir], env: plainPath, cwd: '/' })
    expect(told.stdout).toBe('root\nroot\n')
  })

  it('cannot make its clean-up fail with paths that are too deep, strange names or closed directories', async () => {
    await job(`
      perl -e 'for (1..3000) { mkdir "d" x 50; chdir "d" x 50 or last } open F, ">deep"'
      mkdir closed; touch closed/file; chmod 000 closed
      printf x >"$(printf 'new\\nline')"; printf x >'-rf'; printf x >'*'
      ln -s / root; ln -s loop loop
    `)
    await engine.destroy(sandbox.id)
    expect(await engine.list()).toEqual([])
  })

  it('cannot leave shared memory, semaphores or queues behind', async () => {
    await job('ipcmk -M 4096; ipcmk -S 3; ipcmk -Q; echo x >/dev/shm/left; sleep 300 >/dev/null 2>&1 & exit 0')
    const uid = (await shellInside(engine, sandbox.id, 'id -u')).stdout.trim()
    expect(readdirSync('/dev/shm')).not.toContain('left')
    for (const kind of ['shm', 'sem', 'msg']) expect(readFileSync(`/proc/sysvipc/${kind}`, 'utf8')).not.toMatch(new RegExp(`\\b${uid}\\b`))
    await engine.destroy(sandbox.id)
  })

  it('cannot leave a core dump', async () => {
    const told = await job('ulimit -c unlimited; ulimit -c; kill -SEGV $$')
    expect(told.signal).toBe('SIGSEGV')
    expect((await shellInside(engine, sandbox.id, 'ulimit -c; ls -A /tmp /var/tmp .')).stdout).not.toContain('core')
  })

  function processesOfUid(uid: number): readonly string[] {
    return readdirSync('/proc').filter((name) => {
      try {
        return /^\d+$/.test(name) && new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(readFileSync(`/proc/${name}/status`, 'utf8'))
      } catch {
        return false
      }
    })
  }
})
