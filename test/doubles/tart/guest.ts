import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import type { VmDirectory } from './home.ts'

/** What a process of Apple's framework is called; one per guest, and it has the guest's disk open. */
const frameworkProcess =
  '/System/Library/Frameworks/Virtualization.framework/Versions/A/XPCServices/com.apple.Virtualization.VirtualMachine.xpc/Contents/MacOS/com.apple.Virtualization.VirtualMachine'

/**
 * Process 1 of a guest, in namespaces of its own. Its root is an overlay: below lies the file system of this machine, above what is on
 * the disk image. Reads its address from its input once the wire is there, starts the SSH server, says `up`.
 */
const boot = `set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
disk=$1 name=$2 root=/run
mount --make-rprivate /
hang() { echo "unbootable: $1"; exec sleep 2147483647; }
read -r address gateway
mount -n -t proc -o nosuid,nodev,noexec proc /proc
mount -n -t tmpfs -o mode=0755 tmpfs "$root"
mkdir "$root/disk" "$root/new"
mount -n -t ext4 -o loop "$disk" "$root/disk" 2>/dev/null || hang "nothing on the disk"
[ -d "$root/disk/upper" ] || hang "no system on the disk"
mount -n -t overlay -o "lowerdir=/,upperdir=$root/disk/upper,workdir=$root/disk/work" overlay "$root/new"
cd "$root/new"
mkdir -p Users proc dev run tmp var/tmp
for hidden in root srv work; do [ ! -d "$hidden" ] || mount -n -t tmpfs -o mode=0755,size=64k tmpfs "$hidden"; done
mount -n -t proc proc proc
mount -n -t tmpfs -o mode=0755 tmpfs dev
mount -n -t tmpfs -o mode=0755 tmpfs run
mount -n -t tmpfs -o mode=1777 tmpfs tmp
mkdir dev/pts dev/shm run/sshd
for each in 'null 3' 'zero 5' 'full 7' 'random 8' 'urandom 9'; do mknod -m 666 "dev/\${each% *}" c 1 "\${each#* }"; done
mknod -m 666 dev/tty c 5 0
mount -n -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -n -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mkdir -p .host
pivot_root . .host
cd /
umount -n -l /.host
hostname "$name" 2>/dev/null || :
ip link set lo up
ip addr add "$address/32" dev en0
ip link set en0 up
ip route add "$gateway" dev en0 src "$address"
ip route add default via "$gateway" dev en0
# As macOS does, before the first connection to a machine whose keys were taken away.
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key
[ ! -x /usr/sbin/sshd ] || /usr/sbin/sshd
echo up
trap 'exit 0' TERM
exec /bin/sh -c 'trap "exit 0" TERM; while :; do sleep 2147483647 & wait; done' guest </dev/null >/dev/null 2>&1
`

/** A guest that boots or runs. It ends with this process, however that ends. */
export interface Guest {
  /** The framework's process. */
  readonly pid: number
  /** Process 1 inside, as this machine numbers it. */
  readonly init: () => number | null
  /** Resolves with the guest's first word: `up`, or why it does not boot. */
  readonly said: Promise<string>
  /** Gives it its address; it waits for that before anything else. */
  plug(address: string, gateway: string): void
  readonly ended: Promise<void>
  kill(): void
}

function childOf(pid: number): number | null {
  try {
    const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])
    return child > 0 ? child : null
  } catch {
    // It is gone.
    return null
  }
}

/** Starts the process of a guest, in new namespaces. Needs root. */
export function startGuest(vm: VmDirectory): Guest {
  const disk = openSync(vm.diskPath, 'r+')
  const words = [
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
    '--net',
    '--fork',
    '--kill-child',
    '/bin/sh',
    '-c',
    boot,
    'guest',
    vm.diskPath,
    'guest',
  ]
  // KILL of Tart leaves nobody to clean up: the kernel has to end the framework's process, and that its child.
  const start = ['--pdeathsig', 'KILL', 'perl', '-e', 'exec { $ARGV[0] } @ARGV[1..$#ARGV]', 'unshare', frameworkProcess, ...words]
  const child: ChildProcess = spawn('setpriv', start, { stdio: ['pipe', 'pipe', 'inherit', disk], detached: true })
  closeSync(disk)
  const pid = child.pid ?? 0
  const said = new Promise<string>((resolve) => {
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString('utf8').trim()))
  })
  return {
    pid,
    init: () => childOf(pid),
    said,
    plug: (address, gateway) => child.stdin?.end(`${address} ${gateway}\n`),
    ended: new Promise((resolve) => child.once('exit', () => resolve())),
    kill: () => child.kill('SIGKILL'),
  }
}
