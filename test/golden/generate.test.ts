import { parse as parseHcl } from '@cdktn/hcl2json'
import fc from 'fast-check'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml, stringify } from 'yaml'
import { githubWorkflow } from '../../src/cli/generate/github-actions.ts'
import type { Workflow, WorkflowOptions } from '../../src/cli/generate/github-actions.ts'
import { writeHcl } from '../../src/cli/generate/hcl.ts'
import { packerTemplate } from '../../src/cli/generate/packer.ts'
import { shellWords } from '../../src/cli/generate/shell-words.ts'
import type { RecipeLock } from '../../src/model/image/lock.ts'
import { recipeDownloads } from '../../src/model/image/lock.ts'
import { Recipe } from '../../src/model/image/recipe.ts'
import { readRecipe } from '../../src/main/read-recipe.ts'
import { runCli } from '../cli/run-cli.ts'
import { workflowProblems } from './workflow-problems.ts'

const images = join(import.meta.dirname, '../../images')
const golden = (name: string) => join(import.meta.dirname, 'files', name)

function lockFor(recipe: Recipe): RecipeLock {
  const base = recipe.base.kind === 'oci' ? { name: recipe.base.reference, digest: `sha256:${'a'.repeat(64)}` } : null
  return { format: 1, recipe: recipe.name, base, downloads: recipeDownloads(recipe).map((url, index) => ({ url, sha256: String(index).repeat(64), sizeBytes: 1 })), packages: [] }
}

const every = Recipe.parse({
  name: 'every-step',
  version: '1',
  engine: 'tart',
  base: { oci: 'ghcr.io/acme/macos:latest' },
  guest: { os: 'macos', release: '15' },
  layers: [
    {
      name: 'low',
      steps: [
        { name: 'text', shell: 'echo "${HOME}" %{x} \'quoted\'\necho \\ next', as: 'root', retries: 1 },
        { name: 'file', shell: { file: 'run.sh' }, timeout: '5m' },
        { name: 'copy', copy: { from: 'files', to: "/etc/it's here", mode: '0640', owner: 'admin' } },
        { name: 'restart', reboot: {} },
      ],
    },
    {
      name: 'high',
      steps: [
        { name: 'brew', packages: { manager: 'brew', list: ['python@3.12'] } },
        { name: 'cask', packages: { manager: 'cask', list: ['macfuse'] } },
        { name: 'npm', packages: { manager: 'npm', list: ['@scope/tool@1.2.3', 'yarn'] } },
        { name: 'pip', packages: { manager: 'pip', list: ['meson@1.8.2'] } },
        { name: 'cargo', packages: { manager: 'cargo', list: ['ripgrep@14.1.1'] } },
        { name: 'download', download: { url: 'https://example.com/a?b=1&c=2', to: '~/Downloads/a' } },
      ],
    },
  ],
  tools: [
    { name: 'node', version: '24.3.0', check: 'node --version' },
    { name: 'python', version: '>=3.11 <3.13', check: 'python3 --version' },
  ],
})

interface Template {
  readonly source: { readonly 'tart-cli': { readonly image: readonly Record<string, unknown>[] } }
  readonly build: readonly { readonly provisioner: Record<string, readonly Record<string, unknown>[]> }[]
}

const readTemplate = async (text: string) => (await parseHcl('image.pkr.hcl', text)) as unknown as Template

describe('a Packer template', () => {
  it('is HCL that a parser of HashiCorp reads, with every step in its place', async () => {
    const text = packerTemplate(every, lockFor(every))
    await expect(text).toMatchFileSnapshot(golden('every-step.pkr.hcl'))
    const template = await readTemplate(text)
    expect(template.source['tart-cli'].image[0]).toMatchObject({ vm_base_name: `ghcr.io/acme/macos@sha256:${'a'.repeat(64)}`, cpu_count: 4, memory_gb: 8, disk_size_gb: 100, ssh_timeout: '1200s' })
    const { shell = [], file = [] } = template.build[0]?.provisioner ?? {}
    expect(file.map(({ source, timeout }) => [source, timeout])).toEqual([['${path.root}/files', undefined]])
    expect(shell.map(({ timeout }) => timeout)).toEqual(['3600s', '300s', '600s', '600s', '600s', '1800s', '1800s', '1800s', '1800s', '1800s', '1800s', undefined])
  })

  it('of the recipe of macOS 15 is read as well', async () => {
    const { recipe } = await readRecipe(join(images, 'macos-15.image.js'))
    const text = packerTemplate(recipe, lockFor(recipe))
    await expect(text).toMatchFileSnapshot(golden('macos-15.pkr.hcl'))
    const { shell = [] } = (await readTemplate(text)).build[0]?.provisioner ?? {}
    const steps = recipe.layers.flatMap((layer) => layer.steps)
    // Restarting takes two, and the tools are checked in the last.
    expect(shell).toHaveLength(steps.length + 2)
  })

  it('is not made without the checksum of a download, nor for another engine', async () => {
    const { recipe } = await readRecipe(join(images, 'debian-12.yaml'))
    expect(() => packerTemplate(recipe, lockFor(recipe))).toThrow('its engine is qemu')
    expect(() => packerTemplate(every, { ...lockFor(every), downloads: [] })).toThrow('has no SHA-256 of https://example.com/a?b=1&c=2')
    const run = await runCli(['generate', 'packer', join(images, 'macos-15.image.js')])
    expect([run.code, run.stdout]).toEqual([1, ''])
    expect(run.stderr).toContain('has no SHA-256 of https://github.com/Kitware/CMake')
  })

  it('takes no text for a template, whatever is in it', async () => {
    const text = fc.string({ unit: fc.constantFrom('$', '%', '{', '}', '"', '\\', '\n', 'a', ' ', "'", 'ü') })
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const read = (await parseHcl('a.hcl', writeHcl([{ type: 'a', labels: [], attributes: { value } }]))) as { a: { value: string }[] }
        // The parser gives the escapes of templates back as they are written.
        expect(read.a[0]?.value.replaceAll(/([$%])\1\{/g, '$1{')).toBe(value)
      }),
      { numRuns: 50 },
    )
  })
})

const workflow: WorkflowOptions = { name: 'cidery', recipes: ['images/macos-15.image.ts', "images/it's.yaml"], spec: 'cidery.yaml', branch: 'main', cron: '0 2 * * *', version: '1.2.3' }

const usesOf = ({ jobs }: Workflow) => Object.values(jobs).flatMap(({ steps }) => steps.filter((step) => 'uses' in step))

describe('a workflow of GitHub Actions', () => {
  it('is one that the parser of GitHub takes, uses no action of anybody, and calls the CLI [001-96]', async () => {
    const run = await runCli(['generate', 'github-actions', '--recipe', 'images/macos-15.image.ts', '--recipe', "images/it's.yaml", '--spec', 'cidery.yaml'])
    expect([run.code, run.stderr]).toEqual([0, ''])
    const text = run.stdout.replace(/cidery@\S+/g, 'cidery@VERSION')
    await expect(text).toMatchFileSnapshot(golden('cidery.yml'))
    expect(await workflowProblems(text)).toEqual([])
    const read = parseYaml(text) as Workflow
    expect(usesOf(read)).toEqual([])
    const commands = Object.values(read.jobs).flatMap(({ steps }) => steps.flatMap((step) => step.run.split('\n').filter((line) => line.startsWith('cidery '))))
    expect(commands).toEqual([
      'cidery image show images/macos-15.image.ts',
      "cidery image show 'images/it'\\''s.yaml'",
      'cidery image lock images/macos-15.image.ts --check',
      "cidery image lock 'images/it'\\''s.yaml' --check",
      'cidery image lock images/macos-15.image.ts',
      "cidery image lock 'images/it'\\''s.yaml'",
      'cidery plan --file cidery.yaml',
      'cidery apply --file cidery.yaml --yes',
    ])
    // Each of them is a command that there is.
    for (const line of new Set(commands.map((command) => command.split(' ').slice(1, command.includes('image') ? 3 : 2).join(' ')))) {
      expect((await runCli([...line.split(' '), '--help'])).code).toBe(0)
    }
  })

  it('is found faulty by that parser when it is', async () => {
    expect(await workflowProblems('on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{ runs: echo }]\n')).not.toEqual([])
    expect(await workflowProblems("on: push\njobs:\n  a:\n    if: github.event_name = 'push'\n    runs-on: ubuntu-latest\n    steps: [{ run: echo }]\n")).not.toEqual([])
  })

  it('shows its secrets to no command line and to no run of a fork', async () => {
    const { jobs } = githubWorkflow(workflow)
    for (const { steps } of Object.values(jobs)) for (const { run } of steps) expect(run).not.toMatch(/\$\{\{/)
    expect(jobs['plan']?.if).toContain('head.repo.full_name == github.repository')
    expect(await workflowProblems(stringify(githubWorkflow({ ...workflow, spec: undefined, cron: undefined })))).toEqual([])
  })

  it.each([
    [['--recipe', '../x.yaml'], "'../x.yaml' is no path in a repository"],
    [['--recipe', '/x.yaml'], 'is no path in a repository'],
    [['--recipe', 'a', '--cron', '0 25 * * *'], '"25" is no hour'],
    [['--recipe', 'a', '--branch', 'a b'], 'is no name of a branch'],
    [[], 'say which recipes'],
  ])('%j is refused', async (words, problem) => {
    const run = await runCli(['generate', 'github-actions', ...words])
    expect([run.code, run.stdout]).toEqual([2, ''])
    expect(run.stderr).toContain(problem)
  })
})

describe('words of a shell', () => {
  it('stay plain where they can', () => {
    expect(shellWords(['a/b-c.d', "it's", '', '$x'])).toBe("a/b-c.d 'it'\\''s' '' '$x'")
  })
})
