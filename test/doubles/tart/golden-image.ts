import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface GoldenImage {
  /** Folder of a registry: `<registry>/<host>/<namespace>/<tag>`. */
  readonly folder: string
  readonly os: 'darwin' | 'linux'
  readonly cpuCountMin?: number
  readonly memoryMinMiB?: number
  /** Bytes of its disk; default a gigabyte, most of it holes. */
  readonly diskBytes?: number
  /** What `sw_vers` says; default 15.6. */
  readonly release?: string
  /** Public key that may enter as `admin` besides the password `admin`. */
  readonly authorizedKey?: string
}

const admin = { uid: 501, gid: 20 } as const

const homeOf = (os: GoldenImage['os']): string => (os === 'darwin' ? '/Users/admin' : '/home/admin')

/** Of the password `admin`, which all public images have. */
const passwordHash = (): string => execFileSync('openssl', ['passwd', '-6', 'admin'], { encoding: 'utf8' }).trim()

const sshdConfig = `Include /etc/ssh/sshd_config.d/*.conf
UsePAM no
PasswordAuthentication yes
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
`

/** What macOS answers with; enough to tell versions apart. What it is told to set is written down in /var/db/told. */
function macPrograms(release: string): Readonly<Record<string, string>> {
  const writesDown = ['pmset', 'scutil', 'defaults', 'softwareupdate', 'launchctl'].map((name) => [
    `usr/bin/${name}`,
    `mkdir -p /var/db && echo "${name} $*" >>/var/db/told 2>/dev/null || :`,
  ])
  return {
    'usr/bin/sw_vers': `case \${1:-} in -productVersion|--productVersion) echo ${release} ;; *) printf "ProductName:\\t\\tmacOS\\nProductVersion:\\t\\t${release}\\nBuildVersion:\\t\\t24G84\\n" ;; esac`,
    'usr/bin/xcodebuild': 'printf "Xcode 26.0\\nBuild version 17A324\\n"',
    ...Object.fromEntries(writesDown),
    'System/Library/CoreServices/RemoteManagement/ARDAgent.app/Contents/Resources/kickstart': 'echo "kickstart $*" >>/var/db/told',
  }
}

/** Goes down as a system does: what is written reaches the disk, then process 1 ends, and with it the machine. */
const goDown = `[ "$(id -u)" = 0 ] || { echo "NOT super-user" >&2; exit 1; }
sync
kill -TERM 1`

/** Passwordless, as in every public image. The program that makes root has no questions; \`sudo\` is its face. */
const sudo = `#!/bin/sh
[ "$1" = -n ] && shift
exec /usr/libexec/cidery-become-root --reuid 0 --regid 0 --clear-groups env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root USER=root LOGNAME=root SHELL=/bin/sh "$@"
`

/** `script` takes other words on macOS than on Linux: `-q FILE COMMAND…`. */
const macScript = `#!/usr/bin/perl
exit 64 unless @ARGV > 2 && shift eq "-q";
my ($file, @words) = @ARGV;
s/'/'\\\\''/g for @words;
$ENV{SHELL} = "/bin/sh";
exec "/usr/libexec/linux-script", "-q", "-e", "-f", "-c", "exec " . join(" ", map { "'$_'" } @words), $file;
`

function systemFiles(upper: string, { os, authorizedKey, release = '15.6' }: GoldenImage): void {
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(`${upper}/${path}`), { recursive: true })
    writeFileSync(`${upper}/${path}`, text, { mode })
    chmodSync(`${upper}/${path}`, mode)
  }
  const without = (path: string, pattern: RegExp): string => readFileSync(path, 'utf8').replaceAll(pattern, '')
  write('etc/passwd', `${without('/etc/passwd', /^(?:admin:.*|[^:]*:[^:]*:501:.*)\n/gm)}admin:x:501:20:admin:${homeOf(os)}:/bin/sh\n`)
  write('etc/group', `${without('/etc/group', /^[^:]*:[^:]*:20:.*\n/gm)}staff:x:20:\n`)
  write('etc/shadow', `root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\nadmin:${passwordHash()}:19000:0:99999:7:::\n`, 0o640)
  write('etc/ssh/sshd_config', sshdConfig)
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', `${upper}/etc/ssh/ssh_host_ed25519_key`])
  mkdirSync(`${upper}/usr/libexec`, { recursive: true })
  copyFileSync('/usr/bin/setpriv', `${upper}/usr/libexec/cidery-become-root`)
  chmodSync(`${upper}/usr/libexec/cidery-become-root`, 0o4755)
  write('usr/bin/sudo', sudo, 0o755)
  for (const name of ['shutdown', 'poweroff']) write(`usr/sbin/${name}`, `#!/bin/sh\n${goDown}\n`, 0o755)
  if (os === 'darwin') {
    copyFileSync('/usr/bin/script', `${upper}/usr/libexec/linux-script`)
    write('usr/bin/script', macScript, 0o755)
    for (const [path, body] of Object.entries(macPrograms(release))) write(path, `#!/bin/sh\n${body}\n`, 0o755)
  }
  const home = `${upper}${homeOf(os)}`
  mkdirSync(`${home}/.ssh`, { recursive: true })
  if (authorizedKey !== undefined) writeFileSync(`${home}/.ssh/authorized_keys`, `${authorizedKey}\n`)
  execFileSync('chown', ['-R', `${admin.uid}:${admin.gid}`, home])
  chmodSync(home, 0o750)
}

/** Makes an image that boots in the double: what its disk holds lies over the file system of this machine. Needs root. */
export function makeGoldenImage(image: GoldenImage): void {
  const { folder, os, cpuCountMin = 2, memoryMinMiB = 2048, diskBytes = 1_000_000_000 } = image
  const tree = mkdtempSync(join(tmpdir(), 'cidery-tart-golden-'))
  try {
    mkdirSync(`${tree}/upper`)
    mkdirSync(`${tree}/work`)
    systemFiles(`${tree}/upper`, image)
    mkdirSync(folder, { recursive: true })
    const disk = `${folder}/disk.img`
    writeFileSync(disk, '')
    truncateSync(disk, diskBytes)
    execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-E', 'lazy_itable_init=1', '-m', '0', '-d', tree, disk], {
      stdio: 'pipe',
    })
    const mib = 1024 * 1024
    const config = {
      version: 1,
      os,
      arch: 'arm64',
      ecid: randomBytes(24).toString('base64'),
      hardwareModel: randomBytes(24).toString('base64'),
      cpuCountMin,
      cpuCount: cpuCountMin,
      memorySizeMin: memoryMinMiB * mib,
      memorySize: memoryMinMiB * mib,
      macAddress: '7a:00:01:02:03:04',
      display: { width: 1024, height: 768 },
      diskFormat: 'raw',
    }
    writeFileSync(`${folder}/config.json`, JSON.stringify(config))
    writeFileSync(`${folder}/nvram.bin`, randomBytes(256))
    writeFileSync(`${folder}/manifest.json`, manifestOf(folder))
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

/** The manifest's digest is the image's name; layers of a real registry come with the double of one. */
function manifestOf(folder: string): string {
  const layers = ['config.json', 'nvram.bin'].map((name) => ({
    mediaType: `application/vnd.cirruslabs.tart.${name === 'nvram.bin' ? 'nvram' : 'config'}.v1`,
    digest: `sha256:${createHash('sha256')
      .update(readFileSync(`${folder}/${name}`))
      .digest('hex')}`,
  }))
  return JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', layers })
}
