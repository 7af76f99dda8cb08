import { describe, expect, it } from 'vitest'
import {
  hostRuleset,
  insideResolvConf,
  insideRuleset,
  linkCount,
  linkOf,
  rangesOverlap,
  reachableResolvers,
  tableName,
} from '../../network-rules.ts'
import { writableMounts } from './boot.ts'
import { enforceable, readCgroups } from './cgroups.ts'

const mountinfo = [
  '23 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
  '24 23 0:22 / /proc rw,nosuid shared:2 - proc proc rw',
  '25 23 0:23 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755',
  '26 25 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct',
  '27 25 0:25 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory',
  '28 25 0:26 / /sys/fs/cgroup/pids ro,nosuid - cgroup cgroup rw,pids',
  '29 25 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw',
  '30 23 8:1 / /srv/my\\040disk rw,nosuid,noatime - ext4 /dev/sda1 rw',
  '31 23 8:2 / /media/rom ro,relatime - iso9660 /dev/sr0 ro',
  '32 23 0:30 / /home rw - ext4 /dev/sdb rw',
  '33 23 0:31 / /run/user/1000 rw - tmpfs tmpfs rw',
  '34 23 8:3 / /data rw - ext4 /dev/sdc rw',
  '35 34 8:4 / /data ro - ext4 /dev/sdd ro',
].join('\n')

describe('what Linux offers', () => {
  it('control groups: each v1 controller that can be written, and v2 with its own', () => {
    const groups = readCgroups(mountinfo, () => ['pids'])
    expect(groups).toEqual({
      v1: { cpu: '/sys/fs/cgroup/cpu,cpuacct', memory: '/sys/fs/cgroup/memory' },
      v2: '/sys/fs/cgroup/unified',
      v2Controllers: ['pids'],
    })
    expect(enforceable(groups)).toEqual(['cpu', 'memory', 'processes'])
    expect(enforceable(readCgroups(mountinfo, () => []))).toEqual(['cpu', 'memory'])
    expect(enforceable(readCgroups('30 23 0:26 / /sys/fs/cgroup rw - cgroup2 none rw', () => ['cpu', 'memory', 'pids', 'io']))).toEqual([
      'cpu',
      'memory',
      'processes',
    ])
    expect(enforceable(readCgroups('', () => []))).toEqual([])
  })

  it('mounts to be closed to a job: all that can be written, but for what the sandbox replaces and what the kernel keeps', () => {
    expect(writableMounts(mountinfo, '/home')).toEqual([
      { path: '/', options: 'relatime' },
      { path: '/srv/my disk', options: 'nosuid,noatime' },
    ])
  })
})

describe('the network of a sandbox', () => {
  it('is four addresses of the range for each', () => {
    expect(linkOf('198.18.0.0/16', 0)).toEqual({ hostAddress: '198.18.0.1', address: '198.18.0.2' })
    expect(linkOf('198.18.0.0/16', 16_383)).toEqual({ hostAddress: '198.18.255.253', address: '198.18.255.254' })
    expect(linkCount('198.18.0.0/16')).toBe(16_384)
  })

  it.each([
    ['10.0.0.0/8', '10.213.0.0/16', true],
    ['10.213.0.0/16', '10.0.0.0/8', true],
    ['192.0.2.5/32', '192.0.2.0/24', true],
    ['192.0.2.0/24', '192.0.3.0/24', false],
    ['198.19.0.0/24', '198.18.0.0/16', false],
  ])('ranges %s and %s share an address: %s', (one, other, shared) => {
    expect(rangesOverlap(one, other)).toBe(shared)
  })

  it('asks only name servers that can be reached from inside', () => {
    const text = 'search lan\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1\nnameserver 192.0.2.2\noptions edns0\n'
    expect(reachableResolvers(text, ['192.0.2.2'])).toEqual(['192.0.2.1'])
    expect(insideResolvConf(text, ['192.0.2.1'])).toBe('nameserver 192.0.2.1\nsearch lan\noptions edns0')
  })

  it('is shut off before anything else is allowed', () => {
    const rules = insideRuleset({
      hostAddresses: ['192.0.2.2', '127.0.0.1', 'fd00::2'],
      blocked: [
        { address: '198.51.100.7', port: 8443 },
        { address: '198.51.100.8', port: null },
        { address: '::1', port: null },
      ],
      resolvers: ['169.254.169.254'],
      netRange: '198.18.0.0/16',
    })
    const lines = rules.split('\n').map((line) => line.trim())
    const place = (part: string): number => lines.findIndex((line) => line.includes(part))
    expect(place('198.51.100.7 tcp dport 8443 reject')).toBeGreaterThan(0)
    expect(place('{ 192.0.2.2, 198.51.100.8 } reject')).toBeGreaterThan(0)
    // A cloud's name server may have the metadata address: names, and nothing else of it.
    expect(place('th dport 53 accept')).toBeLessThan(place('169.254.0.0/16'))
    expect(place('nfproto ipv6 reject')).toBe(place('oifname "lo" accept') + 1)
    expect(rules).toContain('policy drop')
    expect(rules).not.toContain('127.0.0.1')
  })

  it('has one table per prefix on the host', () => {
    expect(tableName('bk-')).toBe('cidery')
    expect(tableName('t1-')).toBe('cidery_t1')
    expect(hostRuleset('bk-', '198.18.0.0/16')).toContain('iifname "bk-*" oifname "bk-*" drop')
  })
})
