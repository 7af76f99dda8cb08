/**
 * Runs inside, as the job's user: takes words and environment from its input, which no other process sees, and becomes their parent. Tart's own exit
 * codes 1, 2 and 64 are a command's too, a signal is none, and 0 is also what a connection that broke off may end with: so 200 says "ended with 0" and
 * 201 "look into the file". It carries the output, so that what a command leaves in the background cannot keep it from ending.
 * Perl, because macOS and Debian both have it. Arguments: token, directory for ends, directory of the command, `tty` or nothing.
 */
export const enterScript = `
use strict;
my ($token, $ends, $directory, $tty) = @ARGV;
my $end = "$ends/$token";
sub take {
  my ($wanted, $got) = (shift, "");
  while (length $got < $wanted) {
    my $read = sysread(STDIN, $got, $wanted - length $got, length $got);
    next if !defined $read && $!{EINTR};
    if (!$read) { print STDERR "cidery: the words did not arrive\\n"; exit 201 }
  }
  return $got;
}
my ($count, @items) = map { s/%(0A|25)/$1 eq "25" ? "%" : "\\n"/ger } split /\\n/, take(0 + take(10)), -1;
my @words = splice @items, 0, $count;
sub note { open(my $out, ">", "$end.part") or die "$end: $!\\n"; print $out "$_[0]\\n"; close $out; chmod 0644, "$end.part"; rename "$end.part", $end }
pipe(my $outReader, my $outWriter) or die;
pipe(my $errReader, my $errWriter) or die;
$SIG{CHLD} = sub { };
my $pid = fork // die "fork: $!\\n";
if (!$pid) {
  $SIG{CHLD} = "DEFAULT";
  setpgrp;
  open(my $err, ">&", \\*STDERR);
  open(STDOUT, ">&", $outWriter); open(STDERR, ">&", $errWriter);
  %ENV = map { split /=/, $_, 2 } @items;
  chdir $directory or do { print STDERR "cidery: $directory: $!\\n"; exit 125 };
  { no warnings; exec { $words[0] } @words }
  my $missing = $!{ENOENT};
  print STDERR "cidery: $words[0]: $!\\n";
  exit($missing ? 127 : 126);
}
close $outWriter; close $errWriter;
note("running $pid");
my %to = (fileno $outReader => [$outReader, \\*STDOUT], fileno $errReader => [$errReader, \\*STDERR]);
my ($status, $quiet) = (undef, 0);
while (%to) {
  if (!defined $status && waitpid($pid, 1) == $pid) { $status = $? }
  last if defined $status && $quiet;
  my $bits = "";
  vec($bits, $_, 1) = 1 for keys %to;
  my $ready = select($bits, undef, undef, defined $status ? 0.1 : 0.25);
  next if $ready < 0;
  $quiet = $ready == 0;
  for my $number (keys %to) {
    next if $ready == 0 || !vec($bits, $number, 1);
    my ($from, $into) = @{ $to{$number} };
    my $read = sysread($from, my $bytes, 65536);
    if (!$read) { delete $to{$number}; next }
    for (my $done = 0; $done < $read;) { my $written = syswrite($into, $bytes, $read - $done, $done); last if !defined $written && !$!{EINTR}; $done += $written // 0 }
  }
}
if (!defined $status) { waitpid($pid, 0); $status = $? }
if ($status == 0) { unlink $end; exit 200 }
use Config;
my $signal = $status & 127;
note($signal ? "ended signal " . (split / /, $Config{sig_name})[$signal] : "ended exit " . ($status >> 8));
exit 201;
`

/**
 * Runs on the host, in place of the command: feeds it, passes signals on, and ends as the command ended. What talks to the machine is not among its
 * children: whoever signals this process and all below it would otherwise cut the connection before the command had a chance to end. It ends with this
 * process all the same.
 * Arguments: file that says that the connection was lost, file inside that says how the command ended, what a command inside that signals it begins with, number of words that enter, those words, and words
 * that run a shell script inside (it comes behind them).
 */
export const launchScript = `
use strict;
use POSIX ();
my ($lost, $end, $become, $count, @words) = @ARGV;
my @enter = splice @words, 0, $count;
my $packed = "";
for (my $i = 0; exists $ENV{"CIDERY_ENV_$i"}; $i++) { $packed .= delete $ENV{"CIDERY_ENV_$i"} }
pipe(my $aliveReader, my $aliveWriter) or die;
pipe(my $statusReader, my $statusWriter) or die;
sub pour {
  my ($into, $bytes) = @_;
  for (my $done = 0; $done < length $bytes;) { my $wrote = syswrite($into, $bytes, length($bytes) - $done, $done); return 0 if !defined $wrote && !$!{EINTR}; $done += $wrote // 0 }
  return 1;
}
my $middle = fork // die;
if (!$middle) {
  POSIX::setsid();
  exit 0 if fork;
  close $aliveWriter; close $statusReader;
  pipe(my $inReader, my $inWriter) or die;
  my $entering = fork // die;
  if (!$entering) {
    open(STDIN, "<&", $inReader);
    close $_ for $inReader, $inWriter, $aliveReader, $statusWriter;
    exec { $enter[0] } @enter;
    exit 1;
  }
  close $inReader;
  my $feeding = fork // die;
  if (!$feeding) {
    close STDOUT; close STDERR; close $statusWriter; close $aliveReader;
    $SIG{PIPE} = "IGNORE";
    pour($inWriter, sprintf("%010d", length $packed) . $packed) or exit;
    while (sysread(STDIN, my $bytes, 65536)) { pour($inWriter, $bytes) or exit }
    exit;
  }
  close $inWriter;
  my $watching = fork // die;
  if (!$watching) {
    close STDOUT; close STDERR; close STDIN; close $statusWriter;
    sysread($aliveReader, my $nothing, 1);
    kill "KILL", $entering, $feeding;
    exit;
  }
  close STDOUT; close STDERR; close STDIN;
  waitpid $entering, 0;
  my $status = $?;
  kill "KILL", $feeding, $watching;
  waitpid $_, 0 for $feeding, $watching;
  syswrite($statusWriter, "$status\\n");
  exit;
}
close $aliveReader; close $statusWriter;
waitpid $middle, 0;
sub ask {
  my $script = shift;
  pipe(my $reader, my $writer) or return "";
  my $pid = fork // return "";
  if (!$pid) {
    $SIG{$_} = "IGNORE" for "TERM", "INT", "HUP";
    open(STDIN, "<", "/dev/null"); open(STDOUT, ">&", $writer); open(STDERR, ">", "/dev/null");
    close $_ for $reader, $writer, $aliveWriter, $statusReader;
    exec { $words[0] } @words, $script;
    exit 1;
  }
  close $writer;
  my $said = "";
  eval {
    local $SIG{ALRM} = sub { die };
    alarm 15;
    while (1) { my $read = sysread($reader, $said, 4096, length $said); last if defined $read ? !$read : !$!{EINTR} }
    alarm 0;
  };
  alarm 0;
  kill "KILL", $pid if $@;
  waitpid $pid, 0;
  return $said;
}
for my $name ("TERM", "INT", "HUP") {
  $SIG{$name} = sub { ask("read -r state pid <$end && [ \\$state = running ] && $become /bin/sh -c \\"kill -$name -\\$pid\\"") };
}
my $status = "";
while (1) {
  my $read = sysread($statusReader, $status, 64, length $status);
  next if !defined $read && $!{EINTR};
  last if !$read || $status =~ /\\n/;
}
my $code = $status =~ /^(\\d+)\\n/ && ($1 & 127) == 0 ? $1 >> 8 : -1;
exit 0 if $code == 200;
my $said = ask("cat $end && rm -f $end");
if ($said =~ /^ended exit (\\d+)/) { exit $1 }
if ($said =~ /^ended signal (\\w+)/) {
  $SIG{$_} = "DEFAULT" for "TERM", "INT", "HUP";
  exec "/bin/sh", "-c", 'ulimit -c 0; kill -"$1" $$', "cidery", $1;
}
print STDERR "cidery: the connection to the machine broke off\\n";
if (open(my $file, ">", $lost)) { close $file }
exit 255;
`

/**
 * Ends all commands inside: TERM, tenths of a second of grace, KILL; then what they wrote is brought to the disk, as the machine is stopped like one whose
 * plug is pulled. Arguments: directory for ends, tenths.
 */
export const endScript = `cd "$1" 2>/dev/null || exit 0
signal() { for each in *; do case $each in *.part) continue ;; esac; read -r state pid <"$each" 2>/dev/null && [ "$state" = running ] && kill "-$1" "-$pid" 2>/dev/null && found=1; done; }
found=; signal TERM
left=$2
while [ -n "$found" ] && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); found=; signal 0; done
signal KILL
sync
`
