/**
 * A small internet for one test, in network namespaces of its own: run by `unshare --net --mount`, this process is the host. It has an
 * uplink to `outside`, where every other address lives, and a name server that knows one name. Prints what two jobs could reach as JSON.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { must, run } from '../../../src/drivers/engines/commands.ts'
import { makeUserEngine } from '../../../src/drivers/engines/user/index.ts'
import type { UserEngineSettings } from '../../../src/drivers/engines/user/settings.ts'
import type { SandboxRequest } from '../../../src/ports/engine.ts'
import { inside, leaveRunning, newId, plainPath } from './engine-under-test.ts'
import { eventually } from './eventually.ts'

/** Addresses of the lab; all but the host's own are `outside`. */
const places = {
  uplink: '203.0.113.2',
  gateway: '203.0.113.1',
  public: '198.51.100.9',
  controller: '198.51.100.7',
  blocked: '198.51.100.8',
  metadata: '169.254.169.254',
  azure: '168.63.129.16',
} as const

/** Serves TCP on the ports 80 and 8443, and answers every A question with the public address, at every address that it has. */
const outsideScript = `
const { createServer } = require('node:net'); const { createSocket } = require('node:dgram')
for (const port of [80, 8443]) createServer((s) => { s.on('error', () => {}); s.end('hello') }).listen(port, '0.0.0.0')
const dns = createSocket('udp4')
dns.on('message', (question, from) => {
  const name = question.subarray(12, question.indexOf(0, 12) + 5)
  const isA = name.readUInt16BE(name.length - 4) === 1
  const head = Buffer.from([question[0], question[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0])
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 9])
  dns.send(Buffer.concat([head, name, isA ? answer : Buffer.alloc(0)]), from.port, from.address)
})
dns.bind(53, '0.0.0.0', () => console.log('up'))
`

const settings = JSON.parse(process.argv[2] ?? '{}') as UserEngineSettings
const children: ChildProcess[] = []

async function makeOutside(): Promise<void> {
  const outside = spawn('unshare', ['--net', process.execPath, '-e', outsideScript], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(outside)
  await new Promise((resolve) => outside.stdout.once('data', resolve))
  const inOutside = ['nsenter', `--net=/proc/${outside.pid ?? 0}/ns/net`] as const
  await must(['ip', '-batch', '-'], {
    input: `link set lo up\nlink add up0 type veth peer name out0 netns ${outside.pid ?? 0}\naddr add ${places.uplink}/24 dev up0\nlink set up0 up\nroute add default via ${places.gateway}\n`,
  })
  const addresses = [
    `${places.gateway}/24`,
    ...[places.public, places.controller, places.blocked, places.metadata, places.azure].map((address) => `${address}/32`),
  ]
  await must([...inOutside, 'ip', '-batch', '-'], {
    input: `link set lo up\n${addresses.map((address) => `addr add ${address} dev out0\n`).join('')}link set out0 up\n`,
  })
  await must(['ip', 'route', 'add', `${places.metadata}/32`, 'via', places.gateway])
  // A new network namespace starts with what the machine has now.
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
  writeFileSync('/etc/resolv.conf', `nameserver ${places.gateway}\n`)
}

async function serveOnHost(address: string, port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('hello')
  })
  await new Promise<void>((resolve) => server.listen(port, address, resolve))
  server.unref()
}

function canReach(engine: ReturnType<typeof makeUserEngine>, id: string) {
  return async (host: string, port: number): Promise<boolean> => {
    const script = `exec 3<>/dev/tcp/${host}/${port} && read -r -t 3 line <&3 || [ "$line" = hello ]`
    const told = await inside(engine, id, { argv: ['/usr/bin/timeout', '4', '/bin/bash', '-c', script], env: plainPath })
    return told.code === 0
  }
}

async function reachableFrom(engine: ReturnType<typeof makeUserEngine>, id: string, neighbour: string): Promise<Record<string, boolean>> {
  const reach = canReach(engine, id)
  const hostEnd = neighbour.replace(/\.(\d+)$/, (_, last: string) => `.${Number(last) - 1}`)
  const targets: readonly (readonly [string, string, number])[] = [
    ['public', places.public, 80],
    ['publicByName', 'example.test', 80],
    ['hostLoopback', '127.0.0.1', 9001],
    ['hostUplink', places.uplink, 9002],
    ['hostEndOfAnothersLink', hostEnd, 9002],
    ['controllerPort', places.controller, 8443],
    ['controllerOtherPort', places.controller, 80],
    ['blockedWhole', places.blocked, 80],
    ['metadata', places.metadata, 80],
    ['azure', places.azure, 80],
    ['anotherJob', neighbour, 7000],
    ['ownLoopback', '127.0.0.1', 7000],
  ]
  const answers = await Promise.all(targets.map(async ([name, host, port]) => [name, await reach(host, port)] as const))
  return Object.fromEntries(answers)
}

async function main(): Promise<unknown> {
  await makeOutside()
  await serveOnHost('127.0.0.1', 9001)
  await serveOnHost('0.0.0.0', 9002)
  const engine = makeUserEngine(settings)
  const facts = await engine.probe()
  const bootWith = async (network: SandboxRequest['network']): Promise<string> => {
    const { id } = await engine.create({
      id: newId('att'),
      jobId: newId('job'),
      image: null,
      shape: { cpu: 1, memoryMiB: 256, diskMiB: 64 },
      limits: 'advisory',
      network,
      blockedAddresses: [`${places.controller}:8443`, places.blocked],
      mount: null,
    })
    await engine.start(id)
    const serve =
      'use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 9, ReuseAddr => 1); while ($c = $s->accept) { print $c "hello\\n"; close $c }'
    if (network !== 'host') await leaveRunning(engine, id, `exec perl -e '${serve}'`)
    return id
  }
  const [first, second, none, host] = [await bootWith('nat'), await bootWith('nat'), await bootWith('none'), await bootWith('host')]
  for (const id of [first, second, none])
    await eventually(async () => {
      if (!(await canReach(engine, id)('127.0.0.1', 7000))) throw new Error('not serving yet')
    })
  const address = (
    await inside(engine, second, {
      argv: ['/bin/sh', '-c', "ip -4 -o addr show eth0 | sed 's/.*inet //; s,/.*,,'"],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    })
  ).stdout.trim()
  const result = {
    networks: facts.capabilities.networks,
    address,
    nat: await reachableFrom(engine, first, address),
    none: await reachableFrom(engine, none, address),
    host: await reachableFrom(engine, host, address),
    // From the host itself into a sandbox: nothing new gets in.
    hostToJob: await reachOnHost(address, 7000),
    hostToPublic: await reachOnHost(places.metadata, 80),
    notesOfHost: (await engine.list()).find(({ id }) => id === host)?.notes,
    rulesInside: (
      await inside(engine, first, {
        argv: ['/bin/sh', '-c', 'nft flush ruleset; ip link set eth0 down; ip route add 1.2.3.4 dev lo; echo $?'],
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      })
    ).stdout.trim(),
    forwardingDuring: readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(),
    sweep: await removeOneByOne(engine),
    forwardingAfter: readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(),
    tablesAfter: (await run(['nft', 'list', 'tables'])).stdout.trim(),
  }
  return result
}

/** As an agent does, job by job, and then looks for more. */
async function removeOneByOne(engine: ReturnType<typeof makeUserEngine>): Promise<unknown> {
  for (const { id } of await engine.list()) await engine.destroy(id)
  return engine.sweep(new Set())
}

async function reachOnHost(host: string, port: number): Promise<boolean> {
  const child = spawn('timeout', ['3', 'bash', '-c', `exec 3<>/dev/tcp/${host}/${port}`], { stdio: 'ignore' })
  return new Promise((resolve) => child.once('exit', (code) => resolve(code === 0)))
}

try {
  console.log(JSON.stringify(await main()))
} finally {
  for (const child of children) child.kill('SIGKILL')
}
process.exit(0)
