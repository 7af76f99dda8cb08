import type { Cleanup, Guest, GuestSettings } from '../../../model/image/guest.ts'
import { managerRunsAs, packageOf, type PackageManager, type StepOf } from '../../../model/image/step.ts'

/** A shell script, and who runs it. */
export interface Script {
  readonly text: string
  readonly asRoot: boolean
}

type Packages = StepOf<'packages'>

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** Words for one package, with its version where one is known. */
function packageWord(manager: PackageManager, name: string, version: string | null): string {
  if (version === null) return quoted(name)
  switch (manager) {
    case 'apt':
      return quoted(`${name}=${version}`)
    case 'pip':
      return quoted(`${name}==${version}`)
    case 'brew':
    case 'cask':
      return quoted(name)
    case 'npm':
    case 'cargo':
      return quoted(`${name}@${version}`)
  }
}

const install: Readonly<Record<PackageManager, (words: string) => string>> = {
  apt: (words) => `apt-get update -q && apt-get install -q -y --no-install-recommends --allow-downgrades ${words}`,
  brew: (words) => `brew install --quiet ${words}`,
  cask: (words) => `brew install --quiet --cask ${words}`,
  npm: (words) => `npm install --global --no-fund --no-audit ${words}`,
  pip: (words) => `python3 -m pip install --disable-pip-version-check ${words}`,
  cargo: (words) => `cargo install --locked ${words}`,
}

/** Installs the packages of a step; a version that the recipe does not name is the lock's, where that has one. */
export function packagesScript({ manager, list }: Packages, locked: (key: string) => string | null): Script {
  const words = list.map((text) => {
    const { name, version } = packageOf(manager, text)
    return packageWord(manager, name, version ?? locked(`${manager}/${name}`))
  })
  return { text: install[manager](words.join(' ')), asRoot: managerRunsAs[manager] === 'root' }
}

const sshDropIn = '/etc/ssh/sshd_config.d/100-cidery.conf'

function macosSettings(settings: GuestSettings, hostName: string): readonly string[] {
  const kickstart = '/System/Library/CoreServices/RemoteManagement/ARDAgent.app/Contents/Resources/kickstart'
  return [
    ...['ComputerName', 'LocalHostName', 'HostName'].map((key) => `scutil --set ${key} ${quoted(hostName)}`),
    ...(settings.sleep
      ? []
      : ['pmset -a sleep 0 displaysleep 0 disksleep 0', 'defaults -currentHost write com.apple.screensaver idleTime 0']),
    ...(settings.screenSharing ? [] : ['launchctl disable system/com.apple.screensharing']),
    ...(settings.remoteManagement ? [] : [`${kickstart} -deactivate -stop`]),
    ...(settings.automaticUpdates
      ? []
      : [
          'softwareupdate --schedule off',
          ...['AutomaticCheckEnabled', 'AutomaticDownload', 'CriticalUpdateInstall'].map(
            (key) => `defaults write /Library/Preferences/com.apple.SoftwareUpdate ${key} -bool false`,
          ),
        ]),
    ...(settings.maxOpenFiles === undefined ? [] : [`launchctl limit maxfiles ${settings.maxOpenFiles} ${settings.maxOpenFiles}`]),
  ]
}

function debianSettings(settings: GuestSettings): readonly string[] {
  return [
    // Not there in an image that nobody has made update itself.
    ...(settings.automaticUpdates ? [] : ['systemctl mask apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true']),
    ...(settings.maxOpenFiles === undefined
      ? []
      : ['mkdir -p /etc/security/limits.d', `printf '* - nofile %s\\n' ${settings.maxOpenFiles} >/etc/security/limits.d/90-cidery.conf`]),
  ]
}

/** Sets a guest up at the end of a build, as root. */
export function settingsScript(guest: Guest, settings: GuestSettings, hostName: string): string {
  const login = settings.passwordLogin ? 'yes' : 'no'
  const ssh = [
    'mkdir -p /etc/ssh/sshd_config.d',
    `printf 'PasswordAuthentication ${login}\\nKbdInteractiveAuthentication ${login}\\nPermitRootLogin no\\n' >${sshDropIn}`,
  ]
  const own = guest.os === 'macos' ? macosSettings(settings, settings.hostName ?? hostName) : debianSettings(settings)
  return ['set -eu', ...ssh, ...own].join('\n')
}

/** Prints the version of a guest's system. */
export const releaseScripts = {
  macos: 'exec sw_vers -productVersion',
  debian: '. /etc/os-release && printf "%s\\n" "$VERSION_ID"',
} as const satisfies Readonly<Record<Guest['os'], string>>

const cacheRemovals: Readonly<Record<Cleanup['caches'][number], string>> = {
  apt: 'if command -v apt-get >/dev/null; then apt-get clean; rm -rf /var/lib/apt/lists/*; fi',
  brew: 'rm -rf "$1/Library/Caches/Homebrew" "$1/.cache/Homebrew"',
  npm: 'rm -rf /root/.npm "$1/.npm"',
  pip: 'rm -rf /root/.cache/pip "$1/.cache/pip" "$1/Library/Caches/pip"',
  cargo: 'rm -rf "$1/.cargo/registry/cache" "$1/.cargo/registry/src"',
}

/** Removes what a build leaves, as root; the home of the job's account is $1. */
export function cleanupScript(guest: Guest, cleanup: Cleanup): string {
  const logs = guest.os === 'macos' ? 'rm -rf /private/var/log/asl/* /Library/Logs/*' : 'find /var/log -type f -exec truncate -s 0 {} +'
  const temporary = guest.os === 'macos' ? 'rm -rf /private/tmp/* "$1/Library/Caches/TemporaryItems"' : 'rm -rf /tmp/* /var/tmp/*'
  const identity = guest.os === 'macos' ? 'rm -f /etc/ssh/ssh_host_*' : 'rm -f /etc/ssh/ssh_host_*; : >/etc/machine-id'
  return [
    'set -eu',
    ...cleanup.caches.map((cache) => cacheRemovals[cache]),
    ...(cleanup.logs ? [logs] : []),
    ...(cleanup.temporary ? [temporary] : []),
    ...(cleanup.identity ? [identity] : []),
    ...cleanup.paths.map((path) => (path.startsWith('~/') ? `rm -rf -- "$1"/${quoted(path.slice(2))}` : `rm -rf -- ${quoted(path)}`)),
  ].join('\n')
}

/**
 * Asks a service of the guest over HTTP and prints the status of its answer. Perl is in every macOS and Debian, curl is not. The port is $1, the path $2.
 */
export const healthScript = `exec perl -MIO::Socket::INET -e '
my ($port, $path) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 10) or die "nothing listens on port $port: $@\\n";
print $socket "GET $path HTTP/1.0\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";
my $line = <$socket> // "";
$line =~ m{^HTTP/\\d\\.\\d (\\d{3})} or die "what answers does not speak HTTP\\n";
print "$1\\n";
' "$1" "$2"`
