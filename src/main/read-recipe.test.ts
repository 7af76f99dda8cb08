import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readRecipe, requireFullLock } from './read-recipe.ts'

const folder = await mkdtemp(join(tmpdir(), 'cidery-recipe-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

const fields =
  "version: '1', engine: 'qemu', base: { debian: 'bookworm' }, guest: { os: 'debian', release: '12' }, steps: [{ name: 'b', shell: 'true' }]"

async function read(source: string, name = 'a.image.ts', deadlineMs?: number) {
  await writeFile(join(folder, name), source)
  return readRecipe(join(folder, name), deadlineMs === undefined ? {} : { deadlineMs })
}

describe('a recipe that is a module', () => {
  it('is read with its types, and with files of its own folder', async () => {
    await writeFile(join(folder, 'versions.ts'), "export const node: string = '24.3.0'\n")
    const { recipe } = await read(
      `import { defineImage } from 'cidery/image'\nimport { node } from './versions.ts'\nconsole.log('said aside')\nexport default defineImage({ name: 'a', ${fields}, tools: [{ name: 'node', version: node, check: 'node --version' }] })\n`,
    )
    expect(recipe).toMatchObject({ name: 'a', tools: [{ version: '24.3.0' }] })
  })

  it('is read in plain JavaScript, and through a link to its folder', async () => {
    await read(`export default { name: 'a', ${fields} }\n`, 'b.image.js')
    await symlink(folder, `${folder}-link`)
    try {
      expect((await readRecipe(join(`${folder}-link`, 'b.image.js'))).recipe.name).toBe('a')
    } finally {
      await rm(`${folder}-link`)
    }
  })

  it.each([
    [
      "import { readFileSync } from 'node:fs'\nexport default readFileSync('/etc/passwd', 'utf8')",
      'Access to this API has been restricted',
    ],
    [
      "import { writeFileSync } from 'node:fs'\nexport default writeFileSync(import.meta.filename, '')",
      'Access to this API has been restricted',
    ],
    ["import { execSync } from 'node:child_process'\nexport default String(execSync('id'))", 'Access to this API has been restricted'],
    ["export const name = 'a'", 'it has no default export; write export default defineImage'],
    ['export default { name: () => 1 }', 'name is a function; a recipe is data'],
    ['export default { name: ', 'Expression expected'],
    ["throw new Error('out of order')", 'out of order'],
    ['process.exit(3)', 'it ended without giving a recipe'],
    [`export default { name: 'a', ${fields.replace('qemu', 'quemu')} }`, 'engine: accepted: tart, qemu; did you mean "qemu"?'],
    ['export default { name: "x".repeat(5_000_000) }', 'it ended without giving a recipe'],
  ])('%s is refused, and the file is named', async (source, problem) => {
    const reading = read(source)
    await expect(reading).rejects.toThrow(problem)
    await expect(reading).rejects.toThrow('a.image.ts: ')
  })

  it('sees no variable of the environment, and no network', async () => {
    const heard: string[] = []
    const server = createServer((request, response) => {
      heard.push(request.url ?? '')
      response.end('1')
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    try {
      const { port } = server.address() as AddressInfo
      const source = `let at = 'open'\ntry { await fetch('http://127.0.0.1:${port}/leak') } catch { at = 'closed' }\nexport default { name: at, ${fields}, labels: { variables: String(Object.keys(process.env).filter((name) => name !== '__CF_USER_TEXT_ENCODING').length) } }\n`
      expect((await read(source)).recipe).toMatchObject({ name: 'closed', labels: { variables: '0' } })
      expect(heard).toEqual([])
    } finally {
      server.close()
    }
  })

  it('is given up at its deadline', async () => {
    await expect(read('while (true) {}', 'a.image.ts', 700)).rejects.toThrow('it was not read within 0.7 s')
  })
})

describe('a recipe', () => {
  it('that is not there, or is none by its name, is refused', async () => {
    await expect(readRecipe(join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(read('', 'a.toml')).rejects.toThrow('is no recipe by its name')
  })

  it('is not built without a full lock', async () => {
    const yaml =
      'name: locked\nversion: "1"\nengine: qemu\nbase: { debian: bookworm }\nguest: { os: debian, release: "12" }\nsteps: [{ name: a, packages: { manager: apt, list: [gcc] } }]\n'
    const without = await read(yaml, 'locked.yaml')
    expect(without.lock).toBeNull()
    expect(() => requireFullLock(without)).toThrow('locked is not built without a full lock')
    const lock = {
      format: 1,
      recipe: 'locked',
      base: { name: 'bookworm', digest: `sha256:${'a'.repeat(64)}` },
      downloads: [],
      packages: [] as object[],
    }
    await writeFile(join(folder, 'locked.lock.json'), JSON.stringify(lock))
    expect(() => requireFullLock({ ...without, lock: null })).toThrow('the digest of bookworm is not there')
    const half = await read(yaml, 'locked.yaml')
    expect(() => requireFullLock(half)).toThrow('the version of gcc of apt is not there')
    await writeFile(
      join(folder, 'locked.lock.json'),
      JSON.stringify({ ...lock, packages: [{ manager: 'apt', name: 'gcc', version: '4:12.2.0-3' }] }),
    )
    expect(requireFullLock(await read(yaml, 'locked.yaml')).base?.name).toBe('bookworm')
    await writeFile(join(folder, 'locked.lock.json'), '{ "format": 2 }')
    await expect(read(yaml, 'locked.yaml')).rejects.toThrow('locked.lock.json: format')
  })
})
