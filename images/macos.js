// What the four macOS recipes share. They differ in their base alone.
import { defineImage } from 'cidery/image'
import { versions } from './versions.js'

const { llvm, cmake, node, bun, buildkiteAgent, age, yarn } = versions
const major = llvm.split('.')[0]

/** Formulae whose version is the newest of brew when the recipe is locked; `make`, `autotools` and `screen` of macOS itself are old or not there. */
const formulae = [
  'autoconf',
  'automake',
  'ccache',
  'curl',
  'gh',
  'git',
  'go',
  'htop',
  'jq',
  'libtool',
  'make',
  'meson',
  'ninja',
  'pkgconf',
  'python@3.11',
  'python@3.12',
  'rust',
  'screen',
  'tailscale',
  'tmux',
  'tree',
  'wget',
]

/** Archives with a folder inside that holds bin, lib and share. */
const unpack = (file, into) => `set -eu\nmkdir -p ${into}\ntar -xzf ${file} -C ${into} --strip-components=1\nrm ${file}`

const layers = [
  { name: 'system', steps: [{ name: 'formulae', packages: { manager: 'brew', list: formulae } }] },
  {
    name: 'compilers',
    steps: [
      { name: 'llvm', packages: { manager: 'brew', list: [`llvm@${major}`] } },
      {
        name: 'fetch cmake',
        download: {
          url: `https://github.com/Kitware/CMake/releases/download/v${cmake}/cmake-${cmake}-macos-universal.tar.gz`,
          to: '/tmp/cmake.tar.gz',
        },
      },
      {
        name: 'install cmake',
        as: 'root',
        shell: `${unpack('/tmp/cmake.tar.gz', '/opt/cmake')}\nmkdir -p /usr/local/bin\nln -sf /opt/cmake/CMake.app/Contents/bin/* /usr/local/bin/`,
      },
    ],
  },
  {
    name: 'runtimes',
    steps: [
      {
        name: 'fetch node',
        download: { url: `https://nodejs.org/dist/v${node}/node-v${node}-darwin-arm64.tar.gz`, to: '/tmp/node.tar.gz' },
      },
      { name: 'install node', as: 'root', shell: unpack('/tmp/node.tar.gz', '/usr/local') },
      { name: 'yarn', packages: { manager: 'npm', list: [`yarn@${yarn}`] } },
      {
        name: 'fetch bun',
        download: { url: `https://github.com/oven-sh/bun/releases/download/bun-v${bun}/bun-darwin-aarch64.zip`, to: '/tmp/bun.zip' },
      },
      {
        name: 'install bun',
        as: 'root',
        shell: 'set -eu\nunzip -oqj /tmp/bun.zip -d /usr/local/bin\nln -sf bun /usr/local/bin/bunx\nrm /tmp/bun.zip',
      },
    ],
  },
  {
    name: 'services',
    steps: [
      {
        name: 'fetch agent',
        download: {
          url: `https://github.com/buildkite/agent/releases/download/v${buildkiteAgent}/buildkite-agent-darwin-arm64-${buildkiteAgent}.tar.gz`,
          to: '/tmp/agent.tar.gz',
        },
      },
      {
        name: 'install agent',
        as: 'root',
        timeout: '10m',
        shell: 'set -eu\ntar -xzf /tmp/agent.tar.gz -C /usr/local/bin buildkite-agent\nrm /tmp/agent.tar.gz',
      },
      {
        name: 'fetch age',
        download: {
          url: `https://github.com/FiloSottile/age/releases/download/v${age}/age-v${age}-darwin-arm64.tar.gz`,
          to: '/tmp/age.tar.gz',
        },
      },
      {
        name: 'install age',
        as: 'root',
        shell:
          'set -eu\ntar -xzf /tmp/age.tar.gz -C /tmp\nmv /tmp/age/age /tmp/age/age-keygen /usr/local/bin/\nrm -r /tmp/age /tmp/age.tar.gz',
      },
      { name: 'applications', packages: { manager: 'cask', list: ['docker-desktop', 'macfuse', 'chromium'] } },
      { name: 'restart', reboot: {} },
    ],
  },
]

const printed = (name) => `command -v ${name}`
const tools = [
  { name: 'LLVM/Clang', version: llvm, check: `/opt/homebrew/opt/llvm@${major}/bin/clang --version` },
  { name: 'CMake', version: cmake, check: 'cmake --version' },
  { name: 'Node', version: node, check: 'node --version' },
  { name: 'Bun', version: bun, check: 'bun --version' },
  { name: 'Buildkite agent', version: buildkiteAgent, check: 'buildkite-agent --version', pattern: String.raw`(\d+\.\d+\.\d+)` },
  { name: 'Python 3.11', version: versions.python311, check: 'python3.11 --version' },
  { name: 'Python 3.12', version: versions.python312, check: 'python3.12 --version' },
  { name: 'Age', version: age, check: 'age --version' },
  { name: 'Yarn', version: yarn, check: 'yarn --version' },
  { name: 'Homebrew', version: '>=4', check: 'brew --version' },
  { name: 'pip', version: 'any', check: 'python3.12 -m pip --version' },
  { name: 'Go', version: 'any', check: 'go version' },
  { name: 'Rust', version: 'any', check: 'rustc --version' },
  { name: 'make', version: 'any', check: printed('gmake') },
  { name: 'libtool', version: 'any', check: printed('glibtool') },
  { name: 'pkg-config', version: 'any', check: printed('pkg-config') },
  ...[
    'ninja',
    'ccache',
    'npm',
    'cargo',
    'autoconf',
    'automake',
    'meson',
    'git',
    'gh',
    'curl',
    'wget',
    'jq',
    'tree',
    'htop',
    'tmux',
    'screen',
    'tailscale',
  ].map((name) => ({
    name,
    version: 'any',
    check: printed(name),
  })),
  { name: 'Docker Desktop', version: 'any', check: 'test -d /Applications/Docker.app' },
  { name: 'macFUSE', version: 'any', check: 'test -d /Library/Filesystems/macfuse.fs' },
  { name: 'Chromium', version: 'any', check: 'test -d /Applications/Chromium.app' },
]

/** What each round of the flakiness test does in a fresh machine. */
const checks = [
  { name: 'a command', run: 'echo test > /tmp/test.txt && cat /tmp/test.txt', contains: 'test' },
  { name: 'node', run: `node -e 'console.log("node runs")'`, contains: 'node runs' },
  { name: 'bun', run: `bun -e 'console.log("bun runs")'`, contains: 'bun runs' },
  { name: 'clang', run: `/opt/homebrew/opt/llvm@${major}/bin/clang --version`, contains: llvm },
  { name: 'file system', run: 'mkdir -p /tmp/d && touch /tmp/d/f && test -f /tmp/d/f' },
  { name: 'processes', run: 'ps aux | grep -c .' },
]

/** The recipe for one release of macOS. */
export function macosImage(release, { called }) {
  return defineImage({
    name: `macos-${release}`,
    version: versions.recipe,
    engine: 'tart',
    base: { oci: `ghcr.io/cirruslabs/macos-${called}-base:latest` },
    guest: { os: 'macos', release },
    machine: { cpu: 12, memory: '32GiB', disk: '500GiB' },
    layers,
    tools,
    settings: { maxOpenFiles: 1_048_576 },
    cleanup: { caches: ['brew', 'npm', 'pip', 'cargo'] },
    validation: { checks },
    labels: { macos: release },
  })
}
