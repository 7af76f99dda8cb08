import { soaks } from './soaks.js'

/**
 * Every suite of `npm test`, in the order they run: cheap ones first. To add one, add an entry; a test file that no suite (or more
 * than one) takes is red in test/tooling.
 *
 * - `include`: vitest globs; or `command`: an argv run from the checkout, counted as one test (or by a last line `N passed, N failed`)
 * - `needs`: names from tools/components.js; `platform`: `any`, `linux`, `darwin`; `root`: needs uid 0
 * - `first`: an argv that must succeed before the suite starts
 * - `parallel`: files may run side by side; leave it out where files share ports, accounts or mounts
 * - `testSeconds`: how long one test may take; `minutes`: when the whole suite is killed
 */
export const suites = [
  { name: 'check', command: ['node', 'tools/check.js', '--without-tests'], minutes: 5 },
  {
    name: 'unit',
    include: ['src/**/*.test.ts', 'test/contract/**/*.test.ts', 'test/golden/**/*.test.ts'],
    exclude: ['test/contract/**/*.real.test.ts'],
    parallel: true,
    testSeconds: 15,
    minutes: 5,
  },
  {
    name: 'simulate',
    include: ['test/simulate/**/*.test.ts'],
    exclude: ['test/simulate/**/*.releases.test.ts'],
    parallel: true,
    testSeconds: 300,
    minutes: 15,
  },
  // The same journal on an older Node of the same line.
  {
    name: 'simulate-releases',
    include: ['test/simulate/**/*.releases.test.ts'],
    needs: ['earlier-node'],
    testSeconds: 300,
    minutes: 10,
  },
  {
    name: 'tooling',
    include: ['test/tooling/**/*.test.ts'],
    exclude: ['test/tooling/**/*.slow.test.ts'],
    parallel: true,
    testSeconds: 60,
    minutes: 5,
  },
  { name: 'tooling-slow', include: ['test/tooling/**/*.slow.test.ts'], testSeconds: 300, minutes: 10 },
  { name: 'contract-real', include: ['test/contract/**/*.real.test.ts'], needs: ['postgres'], testSeconds: 60, minutes: 10 },
  { name: 'registry', include: ['test/registry/**/*.test.ts'], needs: ['docker-registry', 'skopeo'], testSeconds: 60, minutes: 10 },
  { name: 'images', include: ['test/images/**/*.test.ts'], needs: ['docker-registry', 'skopeo'], testSeconds: 120, minutes: 15 },
  { name: 'store', include: ['test/store/**/*.test.ts'], needs: ['postgres'], testSeconds: 120, minutes: 10 },
  {
    name: 'engine',
    include: ['test/engine/**/*.test.ts'],
    needs: ['nftables', 'iproute', 'accounts'],
    platform: 'linux',
    root: true,
    testSeconds: 120,
    minutes: 15,
  },
  {
    name: 'tart',
    include: ['test/tart/**/*.test.ts'],
    needs: ['iproute', 'accounts', 'sshd', 'disk-tools', 'perl', 'docker-registry'],
    platform: 'linux',
    root: true,
    testSeconds: 120,
    minutes: 40,
  },
  {
    name: 'vm',
    include: ['test/vm/**/*.test.ts'],
    needs: ['qemu', 'disk-tools', 'sshd', 'nftables', 'iproute', 'accounts', 'docker-registry'],
    first: ['node', 'tools/golden-disk/build.js'],
    platform: 'linux',
    root: true,
    testSeconds: 300,
    minutes: 45,
  },
  {
    name: 'agent',
    include: ['test/agent/**/*.test.ts'],
    exclude: ['test/agent/upgrade.test.ts'],
    needs: ['systemd-analyze'],
    testSeconds: 120,
    minutes: 10,
  },
  // Each of its cases starts a dozen programs one after the other.
  { name: 'agent-upgrade', include: ['test/agent/upgrade.test.ts'], platform: 'linux', testSeconds: 300, minutes: 25 },
  { name: 'controller', include: ['test/controller/**/*.test.ts'], needs: ['postgres', 'promtool'], testSeconds: 120, minutes: 10 },
  { name: 'cli', include: ['test/cli/**/*.test.ts'], needs: ['bash', 'zsh', 'fish', 'sshd', 'git'], testSeconds: 120, minutes: 10 },
  {
    name: 'web',
    include: ['test/web/**/*.test.ts', 'web/**/*.test.{ts,tsx}'],
    needs: ['chromium'],
    first: ['node', 'tools/build.js', '--web'],
    testSeconds: 120,
    minutes: 10,
  },
  {
    name: 'e2e',
    include: ['test/e2e/**/*.test.ts'],
    needs: ['postgres', 'build-tools', 'iproute', 'nftables', 'git'],
    first: ['node', 'tools/build.js', '--web'],
    platform: 'linux',
    root: true,
    testSeconds: 600,
    minutes: 20,
  },
  {
    name: 'bench',
    include: ['test/bench/**/*.test.ts'],
    needs: ['postgres', 'redis', 'chromium', 'iproute', 'nftables', 'accounts'],
    first: ['node', 'tools/build.js', '--web'],
    platform: 'linux',
    root: true,
    testSeconds: 600,
    minutes: 25,
  },
  { name: 'mac', include: ['test/mac/**/*.test.ts'], platform: 'darwin', testSeconds: 600, minutes: 20 },
  // A suite without a test is red; this one is there as soon as there is a soak.
  ...(soaks.length === 0
    ? []
    : [{ name: 'soak-share', command: ['node', 'tools/soak.js', '--share'], platform: 'linux', root: true, minutes: 20 }]),
]
