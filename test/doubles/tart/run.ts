import { existsSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Parsed } from './command-line.ts'
import { alreadyRunning, RuntimeFailure, ValidationFailure } from './failures.ts'
import { faultsOf, hasEffect, suffer, type Effect, type Fault } from './faults.ts'
import { holdingFlock } from './flock.ts'
import { startGuest, type Guest } from './guest.ts'
import { freshMac, localVms, openLocal, parseConfig, places, readConfig, type VmConfig, type VmDirectory } from './home.ts'
import { netPrefix, takeSlot, wire } from './host.ts'
import { lease, spoilLeases } from './leases.ts'

/** Descriptor on which this process got config.json, locked. Nothing here may open and close that file: that would drop the lock. */
const lockedFd = 9

/**
 * Locks config.json, then becomes Tart again with the lock in hand: a POSIX lock stays over exec, so that its pid is the pid of `tart run`.
 * fcntl(2) has no way into Node.
 */
const takeLock = `
use Fcntl qw(:DEFAULT F_SETLK F_WRLCK F_SETFD);
use POSIX ();
my ($path, $name, @words) = @ARGV;
sysopen(my $file, $path, O_RDWR) or do { print STDERR "$path: $!\\n"; exit 1 };
POSIX::dup2(fileno($file), ${lockedFd}) or die;
close($file);
open(my $locked, "+<&=", ${lockedFd}) or die;
my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
fcntl($locked, F_SETLK, $lock) or do { print STDERR "VM \\"$name\\" is already running!\\n"; exit 2 };
fcntl($locked, F_SETFD, 0);
exec { $words[0] } @words;
`

function refuseFlags(parsed: Parsed): void {
  const nets = ['net-bridged', 'net-softnet', 'net-host'].filter((name) => parsed.has(name))
  if (nets.length > 1) throw new ValidationFailure('--net-bridged, --net-softnet and --net-host are mutually exclusive')
  if (parsed.has('vnc') && parsed.has('vnc-experimental'))
    throw new ValidationFailure('--vnc and --vnc-experimental are mutually exclusive')
}

/** First half of `tart run`: everything up to the lock. Does not come back. */
export async function beginRun(parsed: Parsed): Promise<never> {
  refuseFlags(parsed)
  const [name = ''] = parsed.words
  const vm = openLocal(name)
  await holdingFlock(places.home, () => {
    if (vm.runner() !== null) throw alreadyRunning(name)
    const config = readConfig(vm)
    if (!localVms().some((other) => other.name !== name && other.runner() !== null && readConfig(other).macAddress === config.macAddress))
      return
    console.log('There is already a running VM with the same MAC address!')
    console.log('Resetting VM to assign a new MAC address...')
    vm.writeConfig({ ...config, macAddress: freshMac() })
  })
  const again = [process.execPath, process.argv[1] ?? '', '--locked', ...process.argv.slice(2)]
  process.execve?.('/usr/bin/perl', ['perl', '-e', takeLock, vm.configPath, name, ...again])
  throw new Error('unreachable')
}

function lockedConfig(): VmConfig {
  const buffer = Buffer.alloc(65_536)
  return parseConfig(buffer.subarray(0, readSync(lockedFd, buffer, 0, buffer.length, 0)).toString('utf8'))
}

/** Whether a guest's kernel still has a disk. */
function isMounted(disk: string): boolean {
  return readdirSync('/sys/block').some((name) => {
    try {
      return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim() === disk
    } catch {
      // It is no loop device, or has no file.
      return false
    }
  })
}

/** A machine that runs, and what it does wrong. */
class Running {
  readonly #vm: VmDirectory
  readonly #config: VmConfig
  readonly #faults: readonly Fault[]
  readonly #guest: Guest
  readonly #server = createServer((socket) => this.#answer(socket))
  readonly #sockets = new Set<Socket>()
  #agentAnswers = false
  #end: (code: number) => void = () => undefined
  readonly ended = new Promise<number>((resolve) => (this.#end = resolve))

  constructor(vm: VmDirectory, config: VmConfig, faults: readonly Fault[]) {
    this.#vm = vm
    this.#config = config
    this.#faults = faults
    this.#guest = startGuest(vm)
  }

  async start(): Promise<void> {
    // Opening config.json of this machine would drop the lock: whether it runs is known.
    const others = localVms().filter((vm) => vm.name !== this.#vm.name && vm.runner() !== null)
    if (this.#config.os === 'darwin') {
      const leaks = hasEffect(this.#faults, 'leakSlot')
      try {
        await takeSlot(this.#guest.pid, { leaks, others: others.map(({ name }) => name) })
      } catch (error) {
        this.#guest.kill()
        await this.#guest.ended
        throw error
      }
    }
    this.#listen()
    if (existsSync(this.#vm.statePath)) this.#resume()
    void this.#guest.ended.then(() => this.#end(0))
    for (const fault of this.#faults) if (fault.afterMs !== undefined) setTimeout(() => this.#break(fault), fault.afterMs).unref()
    await this.#boot()
  }

  /** SIGINT: like pulling the plug. */
  stop(): void {
    if (hasEffect(this.#faults, 'ignoreStop')) return
    this.#guest.kill()
    this.#end(0)
  }

  requestStop(): void {
    console.log('Requesting guest OS to stop...')
    const init = this.#guest.init()
    if (hasEffect(this.#faults, 'ignoreRequestStop') || init === null) return
    process.kill(init, 'SIGTERM')
  }

  suspend(): void {
    console.log('pausing VM to take a snapshot...')
    if (hasEffect(this.#faults, 'failSuspend')) {
      console.log('Failed to suspend the VM: Error Domain=VZErrorDomain Code=12 "The virtual machine failed to save."')
      this.#guest.kill()
      return this.#end(1)
    }
    console.log('creating a snapshot...')
    writeFileSync(this.#vm.statePath, 'a snapshot')
    console.log('snapshot created successfully! shutting down the VM...')
    this.#guest.kill()
    this.#end(0)
  }

  async close(): Promise<void> {
    this.#guest.kill()
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await this.#guest.ended
    // The kernel may unmount a moment after the last process of a guest is gone; until then the disk is not what the guest wrote.
    for (let tried = 0; isMounted(this.#vm.diskPath) && tried < 1000; tried += 1) await sleep(5)
    rmSync(this.#vm.socketPath, { force: true })
  }

  /** What a fault says about the running machine happens: the guest goes, Tart says why. */
  #break(fault: Fault): void {
    if (fault.stderr !== undefined) console.error(fault.stderr)
    this.#guest.kill()
    this.#end(fault.exit ?? 1)
  }

  #resume(): void {
    console.log('restoring VM state from a snapshot...')
    rmSync(this.#vm.statePath, { force: true })
    console.log('resuming VM...')
  }

  async #boot(): Promise<void> {
    await sleep(Number(process.env['TART_FAKE_BOOT_MS'] ?? '30'))
    for (let tried = 0; this.#guest.init() === null && tried < 500; tried += 1) await sleep(5)
    if (this.#guest.init() === null) return
    const { macAddress: mac } = this.#config
    const has = (effect: Effect): boolean => hasEffect(this.#faults, effect)
    const lost = { expired: has('expiredLease'), duplicate: has('duplicateLease'), silent: has('noLease') }
    const address = await lease({ name: 'guest', mac, ...lost })
    if (hasEffect(this.#faults, 'malformedLeases')) spoilLeases()
    wire(this.#guest.pid, { address, mac })
    this.#guest.plug(address, `${netPrefix()}.1`)
    const said = await this.#guest.said
    this.#agentAnswers = said === 'up' && !hasEffect(this.#faults, 'noAgent')
    const init = this.#guest.init()
    // A whole guest that stands still takes no orders either.
    if (hasEffect(this.#faults, 'freeze') && init !== null) process.kill(init, 'SIGSTOP')
  }

  /** The socket through which `tart exec` finds its guest. */
  #listen(): void {
    rmSync(this.#vm.socketPath, { force: true })
    this.#server.listen(this.#vm.socketPath)
  }

  /** The double says where the guest is, instead of carrying its bytes. */
  #answer(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
    if (hasEffect(this.#faults, 'freeze')) return
    socket.end(this.#agentAnswers ? `${this.#guest.init() ?? ''}\n` : '')
  }
}

/** Second half of `tart run`, with the lock: the machine's whole life. */
export async function continueRun(parsed: Parsed): Promise<number> {
  const [name = ''] = parsed.words
  const vm = openLocal(name)
  const faults = faultsOf('run', name)
  await suffer(faults)
  if (process.getuid?.() !== 0) throw new RuntimeFailure('the double of Tart makes guests of namespaces, and needs root for that')
  const running = new Running(vm, lockedConfig(), faults)
  process.on('SIGINT', () => running.stop())
  process.on('SIGUSR1', () => running.suspend())
  process.on('SIGUSR2', () => running.requestStop())
  try {
    return await Promise.race([running.ended, running.start().then(() => running.ended)])
  } finally {
    await running.close()
  }
}
