import { randomBytes } from 'node:crypto'
import { CideryError } from '../../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../../ports/engine.ts'
import { helperEnvironment } from '../commands.ts'
import { packedWords } from '../packed-words.ts'
import { shellQuoted, terminalWords } from '../terminal.ts'
import type { MachineFiles, MachineRecord } from './record.ts'

/** The work directory inside. */
export const workDirectory = '/home/job/work'

/**
 * Runs inside, as the job's user, started by the SSH server: unpacks words and environment, which came as the variables CIDERY_ENV_0 …, and
 * becomes their parent. SSH's own client cannot tell a signal from exit code 255, nor a shell one of 127 and more from a signal of its
 * own, so how such a command ended is left in a file.
 */
const enter = `
my ($token, $directory) = @ARGV;
my ($packed, $end) = ("", "/run/cidery/ends/$token");
for (my $i = 0; exists $ENV{"CIDERY_ENV_$i"}; $i++) { $packed .= $ENV{"CIDERY_ENV_$i"} }
my ($count, @items) = map { s/%(0A|25)/$1 eq "25" ? "%" : "\\n"/ger } split /\\n/, $packed, -1;
my @words = splice @items, 0, $count;
sub note { open(my $out, ">", $end) or die "$end: $!\\n"; print $out "$_[0]\\n"; close $out }
my $pid = fork // die "fork: $!\\n";
if (!$pid) {
  setpgrp;
  %ENV = map { split /=/, $_, 2 } @items;
  chdir $directory or do { print STDERR "cidery: $directory: $!\\n"; exit 125 };
  { no warnings; exec { $words[0] } @words }
  my $missing = $! == 2;
  print STDERR "cidery: $words[0]: $!\\n";
  exit($missing ? 127 : 126);
}
# Here too: whoever reads the note may send a signal to the group at once. In vain once the child is another program, which is after its own.
setpgrp $pid, $pid;
note("running $pid");
waitpid $pid, 0;
my $status = $?;
if (($status & 127) == 0 && $status >> 8 < 127) { unlink $end; exit $status >> 8 }
note("ended $status");
exit 255;
`

/**
 * Runs on the host, in place of the command: passes its signals on, and ends as the command ended. The signals do not reach ssh itself, which
 * would drop the connection before the command had a chance to end. `kill` is asked in the one form that all shells know: dash and busybox take no `--`.
 * Arguments: configuration of ssh, token, file that says that the connection was lost, words for the inside.
 */
const launch = `config=$1 token=$2 lost=$3 inside=$4
end=/run/cidery/ends/$token
ask() { env -i PATH="$PATH" ssh -F "$config" guest "$1" </dev/null 2>/dev/null; }
relay() { ask "read -r state pid <$end && [ \\$state = running ] && kill -$1 -\\$pid"; }
trap 'relay TERM' TERM
trap 'relay INT' INT
trap 'relay HUP' HUP
exec 3<&0
env --block-signal=TERM --block-signal=INT --block-signal=HUP ssh -F "$config" guest "$inside" <&3 3<&- &
ssh=$!
exec 3<&- </dev/null
while :; do wait "$ssh"; code=$?; case $code in 129 | 130 | 143) ;; *) break ;; esac; done
[ "$code" -ge 127 ] || exit "$code"
said=$(ask "cat $end && rm -f $end")
case $said in
  'ended '*)
    status=\${said#ended }
    signal=$((status & 127))
    [ "$signal" != 0 ] || exit $((status >> 8))
    ulimit -c 0
    trap - TERM INT HUP
    kill -"$signal" $$
    exit $((128 + signal)) ;;
esac
echo 'cidery: the connection to the machine broke off' >&2
: >"$lost"
exit 255
`

/** Words that make root's command one of the job's user. */
const asJob = ['/usr/bin/setpriv', '--reuid=job', '--regid=job', '--init-groups', '--'] as const

/** Who the shared connection of a machine enters as: root only where the disk becomes an image. */
export function personOf({ builder }: Pick<MachineRecord, 'builder'>): 'root' | 'job' {
  return builder === undefined ? 'job' : 'root'
}

/** How to start a command inside a running machine. Neither its words nor its environment are in the words of a process of the host. */
export function launchCommand(files: MachineFiles, machine: Pick<MachineRecord, 'builder'>, command: SandboxCommand): LaunchCommand {
  const isBuilder = personOf(machine) === 'root'
  if (command.asRoot === true && !isBuilder) throw new CideryError('FORBIDDEN', 'commands run as root only in the machine of a build')
  const token = randomBytes(12).toString('hex')
  const own = command.tty === true ? (['/usr/bin/env', ...terminalWords(command)] as const) : command.argv
  const words = isBuilder && command.asRoot !== true ? [...asJob, ...own] : own
  const directory = command.cwd ?? (command.asRoot === true ? '/root' : workDirectory)
  const inside = ['/usr/bin/perl', '-e', enter, token, directory].map((word) => shellQuoted(word)).join(' ')
  return {
    argv: ['/bin/sh', '-c', launch, 'cidery-enter', files.sshConfig, token, files.lost, inside],
    env: { ...helperEnvironment, ...packedWords(words, command.env) },
    cwd: '/',
  }
}

/** What ssh needs to reach a machine by its port, and by nothing else. */
export function sshConfig(files: MachineFiles, person: string): string {
  return [
    'Host guest',
    `  User ${person}`,
    `  IdentityFile ${files.key}`,
    '  IdentitiesOnly yes',
    `  ControlPath ${files.master}`,
    // Whoever has no shared connection gets none: the machine's port takes one at a time.
    '  ProxyCommand false',
    `  UserKnownHostsFile ${files.knownHosts}`,
    '  GlobalKnownHostsFile /dev/null',
    '  HostKeyAlias guest',
    '  StrictHostKeyChecking yes',
    '  SendEnv CIDERY_ENV_*',
    '  BatchMode yes',
    '  RequestTTY no',
    '  LogLevel ERROR',
    '  ServerAliveInterval 30',
    '  ServerAliveCountMax 10',
    '',
  ].join('\n')
}
