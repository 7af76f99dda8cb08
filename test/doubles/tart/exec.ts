import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import type { Parsed } from './command-line.ts'
import { notRunning, RuntimeFailure } from './failures.ts'
import { openLocal, readConfig } from './home.ts'

/** The account that the guest agent runs as in all public images. */
const account = { uid: '501', gid: '20', name: 'admin' } as const

function noAgent(why: string): RuntimeFailure {
  return new RuntimeFailure(`Failed to connect to the VM using its control socket: ${why}, is the Tart Guest Agent running?`)
}

/** Asks the running machine where its guest is; a guest that is frozen never says. */
function askForGuest(socketPath: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString('utf8')))
    socket.once('error', (error: NodeJS.ErrnoException) => reject(noAgent(error.code === 'ENOENT' ? 'no such file' : 'connection refused')))
    socket.once('end', () => (text === '' ? reject(noAgent('transport became inactive')) : resolve(Number(text))))
  })
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/** Runs a command in the guest as its agent would, and gives its code; one that a signal ended has none, which Tart makes 255. */
export async function exec(parsed: Parsed): Promise<number> {
  const [name = '', ...words] = parsed.words
  const vm = openLocal(name)
  if (vm.runner() === null) throw notRunning(name)
  const init = await askForGuest(vm.socketPath)
  const { uid, gid } = account
  const { os } = readConfig(vm)
  const home = `${os === 'darwin' ? '/Users' : '/home'}/${account.name}`
  // In a macOS guest `script` takes other words, as it does on a Mac.
  const script = os === 'darwin' ? '/usr/libexec/linux-script' : 'script'
  const tty = parsed.has('tty') ? [script, '-q', '-e', '-f', '-c', words.map((word) => quoted(word)).join(' '), '/dev/null'] : words
  const inside = [
    'env',
    '-i',
    `HOME=${home}`,
    `USER=${account.name}`,
    `LOGNAME=${account.name}`,
    'PATH=/usr/bin:/bin:/usr/sbin:/sbin',
    'SHELL=/bin/sh',
    ...tty,
  ]
  const enter = [
    '--target',
    String(init),
    '--all',
    '--root',
    '--wdns=/',
    '--',
    'setpriv',
    '--reuid',
    uid,
    '--regid',
    gid,
    '--clear-groups',
    ...inside,
  ]
  const child = spawn('nsenter', enter, { stdio: [parsed.has('interactive') ? 'pipe' : 'ignore', 'pipe', 'pipe'], detached: true })
  child.stdout?.pipe(process.stdout)
  child.stderr?.pipe(process.stderr)
  if (child.stdin !== null) {
    child.stdin.on('error', () => process.stdin.destroy())
    process.stdin.pipe(child.stdin)
  }
  // Like the agent it waits for the end of the output too: whatever holds it open keeps the command from ending.
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  process.stdin.destroy()
  // What cannot be started at all is the agent's failure, not the command's.
  return code ?? 255
}
