import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { memoryAvailable, osName, tcpSocketsOf, trafficOf as linuxTraffic } from '../../src/drivers/host-probes/linux/linux-probe.ts'
import { macosProbe, memoryFree, socketsOf, trafficOf } from '../../src/drivers/host-probes/macos/macos-probe.ts'
import { hostProbes } from '../../src/drivers/host-probes/registry.ts'
import { HostFacts } from '../../src/model/host.ts'

const vmStat = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10000.
Pages active:                            200000.
Pages inactive:                          190000.
Pages speculative:                         2000.
Pages throttled:                              0.
Pages wired down:                        100000.
Pages purgeable:                           3000.
"Translation faults":                 123456789.
File-backed pages:                        50000.
`
const netstat = `Name       Mtu   Network       Address            Ipkts Ierrs     Ibytes    Opkts Oerrs     Obytes  Coll
lo0        16384 <Link#1>                         1000     0     500000     1000     0     500000     0
lo0        16384 127           127.0.0.1          1000     -     500000     1000     -     500000     -
en0        1500  <Link#11>   aa:bb:cc:dd:ee:ff   20000     0    7000000    10000     0    3000000     0
en0        1500  10.0.0/24     10.0.0.5          20000     -    7000000    10000     -    3000000     -
utun0      1380  <Link#15>                          10     0        100       20     0        200     0
`

describe('the look at a machine', () => {
  it('tells on this machine what a controller takes, with every value in its range', async () => {
    const probe = process.platform === 'darwin' ? hostProbes.darwin(tmpdir()) : hostProbes.linux(tmpdir())
    const facts = await probe.facts()
    const engines = { agentVersion: '1', at: 1, engines: [], images: [], readiness: [], sandboxes: [], clockSkewMs: null }
    expect(HostFacts.safeParse({ ...facts, ...engines }).success).toBe(true)
    expect(facts.diskUsed).toBeGreaterThan(0)
    expect(facts.memoryFree).toBeGreaterThan(0)
    expect(facts.tcpSockets).toBeGreaterThanOrEqual(0)
    expect(await probe.bootId()).toBe(await probe.bootId())
    expect((await probe.bootId()).length).toBeGreaterThan(10)
  })

  it('reads what Linux says', () => {
    expect(memoryAvailable('MemTotal: 10 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n')).toBe(2_097_152)
    expect(memoryAvailable('')).toBeNull()
    const dev =
      'Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 700 1 0 0 0 0 0 0 300 1 0 0 0 0 0 0\nveth1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n'
    expect(linuxTraffic(dev)).toEqual({ rxBytes: 705, txBytes: 306 })
    expect(tcpSocketsOf('sockets: used 200\nTCP: inuse 5 orphan 0 tw 3 alloc 12 mem 1\n')).toBe(12)
    expect(osName('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')).toBe('Debian GNU/Linux 12 (bookworm)')
  })

  it('reads what macOS says', async () => {
    expect(memoryFree(vmStat)).toBe(65_000 * 16_384)
    expect(trafficOf(netstat)).toEqual({ rxBytes: 7_000_100, txBytes: 3_000_200 })
    expect(socketsOf('1200\n98304')).toEqual({ count: 1200, problems: [] })
    expect(socketsOf('81000\n98304').problems).toEqual(['81000 of 98304 TCP sockets are held by the kernel: reboot the host to free them'])
    expect(socketsOf('')).toEqual({ count: null, problems: [] })
    const said: Readonly<Record<string, string>> = {
      '/usr/bin/sw_vers -productVersion': '15.2',
      '/usr/bin/sw_vers -buildVersion': '24C101',
      '/usr/bin/vm_stat': vmStat,
      '/usr/sbin/netstat -ibn': netstat,
      '/usr/sbin/sysctl -n net.inet.tcp.pcbcount kern.ipc.maxsockets': '1200\n98304',
      '/usr/sbin/sysctl -n kern.bootsessionuuid': '11111111-2222-3333-4444-555555555555',
    }
    const probe = macosProbe(tmpdir(), (program, ...words) => Promise.resolve(said[[program, ...words].join(' ')] ?? ''))
    expect(await probe.facts()).toMatchObject({
      os: 'macos',
      osVersion: 'macOS 15.2 (24C101)',
      tcpSockets: 1200,
      network: { rxBytes: 7_000_100, txBytes: 3_000_200 },
    })
    expect(await probe.bootId()).toBe('11111111-2222-3333-4444-555555555555')
  })
})
