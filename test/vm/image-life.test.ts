import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BuildView, ImageView } from '../../src/cli/commands/image/fleet.ts'
import type { JobView } from '../../src/model/api.ts'
import type { ImageState } from '../../src/model/image/state.ts'
import { apiOf, type Api } from '../e2e/api.ts'
import { fleetController, type FleetController } from '../e2e/fleet-controller.ts'
import { runCidery, startCidery, temporaryDirectory, type Running } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'

/** A build in software emulation on a busy machine, with the Debian below it. */
const buildLimit = 600_000
const soon = 300_000

interface Whole<T> {
  readonly items: readonly T[]
}

describe('an image in a fleet of two hosts', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let registry: RealRegistry
  let controller: FleetController
  let api: Api
  const agents: Running[] = []

  async function startHost(number: number): Promise<void> {
    const state = join(directory.path, `host-${number}`)
    await mkdir(state, { recursive: true, mode: 0o700 })
    const own = { prefix: `l${number}x-`, firstUid: 575_000 + number * 20, netRange: `198.18.${220 + number}.0/24` }
    const user = {
      prefix: `l${number}u-`,
      uidRange: [760_000 + number * 1000, 760_999 + number * 1000],
      netRange: `198.19.${220 + number}.0/24`,
    }
    await writeFile(join(state, 'agent.yaml'), JSON.stringify({ engines: { user, qemu: { ...own, slots: 2, savedStates: 0 } } }), {
      mode: 0o600,
    })
    const { token } = await api.post<{ token: string }>('/enrolments', { name: `host-${number}` })
    agents.push(
      startCidery(['agent', 'run', '--url', controller.url, '--state', state], {
        env: { CIDERY_AGENT_STATE: state, CIDERY_ENROL_TOKEN: token },
        logFile: join(directory.path, `host-${number}.log`),
      }),
    )
  }

  beforeAll(async () => {
    directory = await temporaryDirectory('image-life')
    registry = await startRealRegistry()
    const spec = join(directory.path, 'cidery.yaml')
    const image = {
      engine: 'qemu',
      recipe: 'debian-12.yaml',
      registry: `${registry.host}/ci/debian-12`,
      name: 'debian-{release}-{recipe}-{date}-{time}-{build}',
      rollout: { wave: 1, share: 1 },
    }
    const shape = { cpu: 1, memoryMiB: 256, diskMiB: 64 }
    await writeFile(
      spec,
      JSON.stringify({
        version: 1,
        images: { 'debian-12': image },
        pools: { default: { engines: { user: {}, qemu: { networks: ['none', 'nat'] } } } },
        queues: { default: {}, linux: { engine: 'qemu', image: 'debian-12', shape } },
      }),
    )
    controller = await fleetController({
      env: {},
      stateDir: join(directory.path, 'controller'),
      logFile: join(directory.path, 'controller.log'),
      words: ['--blobs', join(directory.path, 'blobs'), '--spec', spec],
    })
    api = apiOf(controller.address)
    await controller.start()
    await startHost(1)
    await startHost(2)
  }, 120_000)

  afterAll(async () => {
    for (const agent of agents) await agent.stop()
    await controller.stop()
    await registry.stop()
    await directory.remove()
  }, 120_000)

  async function cidery(...words: readonly string[]): Promise<string> {
    const { url, token } = controller.address()
    const ran = await runCidery([...words], { env: { CIDERY_URL: url, CIDERY_TOKEN: token }, cwd: directory.path })
    expect(ran.code, `${words.join(' ')}: ${ran.stderr}`).toBe(0)
    return ran.stdout.toString()
  }

  /** Writes the recipe, whose upper layer leaves this mark, and puts it into force. */
  async function putRecipe(version: string, mark: string): Promise<void> {
    const recipe = `
name: debian-12
version: "${version}"
engine: qemu
base: { debian: bookworm }
guest: { os: debian, release: "12" }
machine: { cpu: 2, memory: 512MiB, disk: 2GiB }
layers:
  - name: lower
    steps: [{ name: below, shell: "echo below > /opt/below", as: root }]
  - name: upper
    steps: [{ name: mark, copy: { from: mark, to: /opt/mark, mode: "0644" } }]
tools: [{ name: perl, version: ">=5.30", check: "perl -v" }]
validation: { checks: [{ name: mark, run: "cat /opt/below /opt/mark", contains: "${mark}" }] }
flakiness: { rounds: 1 }
timeouts: { boot: 5m }
`
    const lock = {
      format: 1,
      recipe: 'debian-12',
      base: { name: 'bookworm', digest: `sha256:${'0'.repeat(64)}` },
      downloads: [],
      packages: [],
    }
    await writeFile(join(directory.path, 'debian-12.yaml'), recipe)
    await writeFile(join(directory.path, 'debian-12.lock.json'), JSON.stringify(lock))
    await writeFile(join(directory.path, 'mark'), `${mark}\n`)
    await cidery('image', 'put', 'debian-12.yaml')
  }

  const image = (): Promise<ImageView> => api.get<ImageView>('/images/debian-12')
  const states = async (): Promise<readonly ImageState[]> => (await api.get<Whole<ImageState>>('/images/debian-12/hosts')).items

  /** Waits until jobs get a build of this version, and both hosts proved it. */
  async function promoted(version: string, limitMs: number): Promise<BuildView> {
    try {
      return await waitFor(
        `a promoted build of ${version}`,
        async () => {
          const build = (await image()).promoted
          const ready = (await states()).filter((state) => state.ready && state.recipeVersion === version)
          return build?.recipeVersion === version && ready.length === 2 && build
        },
        limitMs,
      )
    } catch (error) {
      const builds = (await api.get<Whole<BuildView>>('/images/debian-12/builds')).items
      throw new Error(
        `${JSON.stringify(await image(), null, 1)}\n${JSON.stringify(await states(), null, 1)}\n${JSON.stringify(builds, null, 1)}`,
        {
          cause: error,
        },
      )
    }
  }

  /** What jobs, one on each host, find in their machines. */
  async function marks(): Promise<readonly string[]> {
    const jobs = await Promise.all(
      [1, 2].map(() =>
        api.post<JobView>('/jobs', { queue: 'linux', network: 'none', command: ['/bin/sh', '-c', 'cat /opt/below /opt/mark; sleep 5'] }),
      ),
    )
    const found: string[] = []
    for (const { id } of jobs) {
      const job = await waitFor(
        `the end of ${id}`,
        async () => {
          const view = await api.get<JobView>(`/jobs/${id}`)
          return view.state === 'ended' && view
        },
        soon,
      )
      expect(job.outcome).toEqual({ kind: 'exited', code: 0 })
      found.push(await api.text(`/jobs/${id}/log`))
    }
    return found
  }

  it('is built, sent, brought, proved and used; built anew after a change of its recipe; and rolled back [000-19] [001-25] [002-03]', async () => {
    await putRecipe('1.0', 'first')
    const first = await promoted('1.0', buildLimit)
    expect(first).toMatchObject({ state: 'promoted', metadata: { tools: [{ name: 'perl' }] } })
    expect(first.reference).toMatch(new RegExp(`^${registry.host}/ci/debian-12@sha256:[0-9a-f]{64}$`))
    expect(await api.text(`/builds/${first.id}/log`)).toContain('step mark (copy)')
    expect(await marks()).toEqual(['below\nfirst\n', 'below\nfirst\n'])

    await putRecipe('1.1', 'second')
    const second = await promoted('1.1', buildLimit)
    // Layers stay where they were made.
    const start = second.hostId === first.hostId ? 'starts from the layer lower, which is kept' : 'starts from debian'
    expect(await api.text(`/builds/${second.id}/log`)).toContain(start)
    expect(await marks()).toEqual(['below\nsecond\n', 'below\nsecond\n'])

    await cidery('image', 'rollback', 'debian-12', '--reason', 'a test')
    expect((await promoted('1.0', soon)).id).toBe(first.id)
    expect(await marks()).toEqual(['below\nfirst\n', 'below\nfirst\n'])
    expect(await cidery('image', 'check', 'debian-12', '--output', 'name')).toBe('host-1/debian-12\nhost-2/debian-12\n')
  }, 1_500_000)
})
