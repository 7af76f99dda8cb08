import { createHash } from 'node:crypto'
import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import type { Api } from '../client/api.ts'
import { followJob } from '../client/job-log.ts'
import { submitJob } from '../client/submit.ts'
import type { AttemptView, CheckView, JobView } from '../client/views.ts'
import { command, exitCodes } from '../declare.ts'
import { renderChecks } from '../render/checks.ts'
import { printThing } from '../render/output.ts'
import { makeProgress } from '../render/progress.ts'
import type { Progress } from '../render/progress.ts'
import { outcomeText } from '../render/states.ts'
import { describeWaiting } from '../render/waiting.ts'
import { pairsOption } from '../values.ts'

interface TestBuildOptions {
  readonly queue?: string
  readonly engine?: string
  readonly image?: string
  readonly label?: readonly string[]
}

/** What the job writes; its last line tells that nobody was there before it. */
const answer = Array.from({ length: 1000 }, (_, index) => `${(index + 1) ** 2}\n`).join('')
const script = `set -eu
test ! -e "$HOME/.cidery-test-build" || { echo "this sandbox was used before"; exit 70; }
: > "$HOME/.cidery-test-build"
mkdir -p out
i=1
while [ "$i" -le 1000 ]; do echo "$((i * i))"; i=$((i + 1)); done > out/squares.txt
echo "made $(wc -l < out/squares.txt) lines"
`

export const testBuild = command<TestBuildOptions>({
  name: 'test-build',
  summary: 'run a small known job in a fresh sandbox and check what it made',
  examples: [
    ['cidery test-build', 'the whole way once: queue, sandbox, log, exit code, artifact'],
    ['cidery test-build --engine tart --image macos-15', 'in a VM of this image'],
    ['cidery test-build --label host=mini-1', 'on hosts with this label'],
  ],
  options: [
    { flags: '--queue <name>', about: 'queue to use (default: default)', completes: 'queue' },
    { flags: '--engine <engine>', about: 'user, qemu or tart (default: that of the queue)', completes: ['user', 'qemu', 'tart'] },
    { flags: '--image <image>', about: 'golden image to start from' },
    { flags: '--label <key=value>', about: 'only on hosts with this label', many: true },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const progress = makeProgress(cli)
    const labels = pairsOption('--label', options.label)
    const request = {
      name: 'test-build',
      script,
      artifacts: ['out/*.txt'],
      timeoutS: 300,
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      ...(options.engine === undefined ? {} : { engine: options.engine as 'user' }),
      ...(options.image === undefined ? {} : { image: options.image }),
      ...(labels === undefined ? {} : { labels }),
    }
    const submitted = await submitJob(cli, api, { request, progress })
    const { job, log } = await runToEnd(cli, api, { job: submitted, progress })
    const checks = await checkJob(api, job, log)
    await progress.clear()
    const ok = checks.every((check) => check.state === 'passed')
    await printThing(cli, { value: { ok, job: job.id, checks }, name: job.id, text: () => renderChecks(checks, cli.settings.color) })
    return ok ? exitCodes.ok : exitCodes.failed
  },
})

async function runToEnd(
  cli: Cli,
  api: Api,
  { job, progress }: { readonly job: JobView; readonly progress: Progress },
): Promise<{ readonly job: JobView; readonly log: string }> {
  let log = ''
  const ended = await followJob(cli, api, {
    jobId: job.id,
    write: async (bytes) => {
      log = (log + Buffer.from(bytes).toString('utf8')).slice(-10_000)
    },
    note: (message) => progress.note(message),
    waiting: (now) => progress.say(describeWaiting(now)),
  })
  return { job: ended, log }
}

async function checkJob(api: Api, job: JobView, log: string): Promise<readonly CheckView[]> {
  const attempt = job.attempts.at(-1)
  const show = `cidery job show ${job.id}`
  const check = (name: string, good: boolean, facts: { readonly message: string; readonly fix: string }): CheckView => ({
    name,
    state: good ? 'passed' : 'failed',
    message: facts.message,
    fix: good ? null : facts.fix,
  })
  return [
    check('sandbox', attempt !== undefined, {
      message: attempt === undefined ? outcomeText(job) : `a fresh ${attempt.isolation ?? 'sandbox'} on ${attempt.hostName}`,
      fix: `cidery explain job/${job.id}`,
    }),
    check('exit code', job.exitCode === 0, { message: outcomeText(job), fix: `cidery job logs ${job.id}` }),
    check('log', /made +1000 lines/.test(log), { message: `${attempt?.logBytes ?? 0} bytes came back`, fix: `cidery job logs ${job.id}` }),
    await checkArtifact(api, job.id, attempt).then(
      (message) => check('artifact', message === undefined, { message: message ?? 'out/squares.txt is as it should be', fix: show }),
      (error: unknown) => check('artifact', false, { message: error instanceof Error ? error.message : String(error), fix: show }),
    ),
  ]
}

/** What is wrong with the artifact; undefined when its bytes are the known ones. */
async function checkArtifact(api: Api, jobId: string, attempt: AttemptView | undefined): Promise<string | undefined> {
  if (attempt === undefined || !attempt.artifacts.some((artifact) => artifact.path === 'out/squares.txt'))
    return 'out/squares.txt was not kept'
  const response = await api.open('GET', `/jobs/${jobId}/artifacts/out/squares.txt`)
  const hash = createHash('sha256')
  for await (const chunk of response.body) hash.update(chunk)
  return hash.digest('hex') === createHash('sha256').update(answer).digest('hex')
    ? undefined
    : 'out/squares.txt has other bytes than it should have'
}
