import { afterEach, describe, expect, it } from 'vitest'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

async function open() {
  made = await fixture()
  const at = made
  const admin = await at.tokenOf('admin')
  const get = async () => at.app.inject({ url: '/api/v1/spec', headers: bearer(admin) })
  const put = async (body: object, ifMatch: string | null) =>
    at.app.inject({
      method: 'PUT',
      url: '/api/v1/spec',
      headers: { ...bearer(admin), ...(ifMatch === null ? {} : { 'if-match': ifMatch }) },
      payload: body,
    })
  return { at, get, put }
}

const source = 'version: 1 # ours\nqueues:\n  ci: {}\n'

describe('the spec', () => {
  it('starts with one pool and one queue', async () => {
    const { get } = await open()
    const answer = await get()
    expect(answer.json()).toMatchObject({ generation: 0, appliedBy: 'system', source: expect.stringContaining('default: {}') })
    expect(answer.headers.etag).toBe('"0"')
  })

  it('is applied under the generation that was read, and keeps the author’s words', async () => {
    const { at, get, put } = await open()
    expect((await put({ source }, null)).statusCode).toBe(428)
    expect((await put({ source }, '"1"')).statusCode).toBe(412)
    expect((await put({ source }, '0')).statusCode).toBe(400)
    const applied = await put({ source }, '"0"')
    expect(applied.json()).toMatchObject({ generation: 1, applied: true })
    expect((await get()).json()).toMatchObject({ generation: 1, source })
    expect((await put({ source: `${source}#` }, '"0"')).statusCode).toBe(412)
    expect((await at.events()).filter((event) => event.kind === 'spec.applied')).toMatchObject([
      { subject: 'spec', data: { generation: 1, file: 'cidery.yaml' } },
    ])
  })

  it('changes nothing on a dry run or when nothing differs', async () => {
    const { get, put } = await open()
    expect((await put({ source, dryRun: true }, '"0"')).json()).toMatchObject({
      generation: 0,
      applied: false,
      changes: [{ path: 'spec' }],
    })
    expect((await get()).json()).toMatchObject({ generation: 0 })
    await put({ source }, '"0"')
    expect((await put({ source }, '"1"')).json()).toMatchObject({ generation: 1, applied: false })
  })

  it('is refused with file, line and column of each mistake, and nothing is changed', async () => {
    const { get, put } = await open()
    const answer = await put({ source: 'version: 1\nqueus: {}\npools:\n  a:\n    provider: statik\n', file: 'fleet/cidery.yaml' }, '"0"')
    expect(answer.statusCode).toBe(400)
    expect(answer.json<{ detail: string }>().detail).toContain(
      'fleet/cidery.yaml:2:1: queus: unknown field "queus"; did you mean "queues"?',
    )
    expect(answer.json()).toMatchObject({
      problems: [
        { line: 2, column: 1, path: 'queus' },
        { line: 5, column: 5, path: 'pools.a.provider', accepted: ['static'] },
      ],
    })
    expect((await get()).json()).toMatchObject({ generation: 0 })
  })

  it('is applied once when two people apply at once', async () => {
    const { put } = await open()
    const answers = await Promise.all([put({ source: `${source}# a\n` }, '"0"'), put({ source: `${source}# b\n` }, '"0"')])
    expect(answers.map((answer) => answer.statusCode).toSorted((a, b) => a - b)).toEqual([200, 412])
  })
})
