import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../../../src/drivers/engines/commands.ts'
import { processStart } from '../../../src/drivers/locks/process-start.ts'

const begin = 'cidery-live-'
const mark = 'CIDERY_LIVE_BOX'
/** The folder by a name that is short, since that of a socket ends at 107 characters; in every system, and not where guests mount what is theirs. */
const folder = '/mnt'

export interface Box {
  /** On the disk of this machine. */
  readonly folder: string
  /** The same, as it is called outside. */
  readonly keptIn: string
  remove(): Promise<void>
}

/**
 * Process 1 of the box. It takes in what lost its parent, such as supervisors of an agent that was killed; when it ends, and it does as soon as
 * the test does, the kernel ends every process of the box.
 */
const init = `
my $test = fork // die "no process: $!";
exec { $ARGV[0] } @ARGV unless $test;
$SIG{TERM} = $SIG{INT} = $SIG{HUP} = sub { exit 143 };
while (1) { my $gone = wait; exit($? & 127 ? 128 + ($? & 127) : $? >> 8) if $gone == $test }
`

/** Folders of boxes whose process is gone: a kill leaves nothing else. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith(begin))) {
    const [pid, start] = name.slice(begin.length).split('-')
    if (processStart(Number(pid)) !== start) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

/**
 * Goes on in namespaces of its own: processes, mounts, networks. Whatever a round starts, mounts or wires is seen by nobody outside and ends with
 * this process, however that ends; only its folder stays then, and the next box removes it. Needs root; the program is
 * started anew inside, so this is its first call.
 */
export async function enterBox(): Promise<Box> {
  const made = process.env[mark]
  if (made === undefined) return goInside()
  // Names of networks, and locks of this machine's agents.
  for (const place of ['/run', '/run/netns']) await must(['mount', '--mkdir', '-t', 'tmpfs', 'tmpfs', place])
  await must(['ip', 'link', 'set', 'lo', 'up'])
  await must(['mount', '--bind', made, folder])
  return {
    folder,
    remove: () => rm(made, { recursive: true, force: true }),
    keptIn: made,
  }
}

function goInside(): never {
  removeLeftovers()
  const made = mkdtempSync(join(tmpdir(), `${begin}${process.pid}-${processStart(process.pid) ?? ''}-`))
  // The database is another account's, and its files are in here.
  chmodSync(made, 0o711)
  const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child', '--mount-proc']
  const words = ['unshare', ...namespaces, 'perl', '-e', init, process.execPath, ...process.argv.slice(1)]
  process.execve?.('/usr/bin/unshare', words, { ...process.env, [mark]: made, TMPDIR: folder })
  throw new Error('unreachable')
}
