/**
 * Counted loops that take too long for every run. `command` plays the rounds `--from N --count N` and is red by its exit code; one
 * round must not depend on the one before. `npm run soak` plays `rounds`; `npm test` plays the first `share` of them.
 *
 * - `shareWords`: said to `command` besides, in `npm test` alone
 * - `title`: what a whole soak proves; give it a requirement tag only when the share alone proves the row
 * - `chunk`: rounds per process; the progress is kept after each. `minutes`: when one chunk is killed
 */
export const soaks = [
  {
    name: 'lock',
    title: '50 agents that start at once leave exactly one',
    command: ['node', 'test/soak/lock.ts'],
    rounds: 100,
    share: 2,
    chunk: 10,
    minutes: 10,
  },
  ...['sqlite', 'postgres'].map((store) => ({
    name: `kills-${store}`,
    title: `no accepted job is lost or runs twice when controller and agent are killed, on ${store}`,
    command: ['node', 'test/soak/kills.ts', '--store', store],
    needs: ['nftables', 'iproute', 'accounts', ...(store === 'postgres' ? ['postgres'] : [])],
    rounds: 100,
    share: 4,
    chunk: 10,
    minutes: 15,
  })),
  {
    name: 'controller-kills',
    title:
      'with two controllers on PostgreSQL no accepted job is lost or runs twice, logs and followed logs are byte-exact, and the lead moves within ten seconds, when leader, follower and database server are killed',
    command: ['node', 'test/soak/controller-kills.ts'],
    needs: ['nftables', 'iproute', 'accounts', 'postgres'],
    rounds: 300,
    share: 3,
    chunk: 15,
    minutes: 20,
  },
  {
    name: 'live-faults',
    title:
      'fifty agents, two controllers and PostgreSQL as real processes, hosts in networks of their own: whatever is killed, frozen, cut off, slowed or filled up, every job ends once as its command did, with its log, every host is ready again, and nothing is left',
    command: ['node', 'test/soak/live-faults.ts'],
    // Two cores need some minutes to start fifty agents, and `npm test` has not so many.
    shareWords: ['--agents', '6', '--faults', '8'],
    needs: ['nftables', 'iproute', 'accounts', 'postgres', 'perl', 'sshd', 'disk-tools'],
    rounds: 40,
    share: 1,
    chunk: 4,
    minutes: 60,
  },
]
