import { createRequire } from 'node:module'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterEach, describe, expect, it } from 'vitest'
import { fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

interface Validate {
  (value: unknown): boolean
  readonly errors?: readonly unknown[] | null
}
interface Ajv {
  compile(schema: unknown): Validate
  addFormat(name: string, format: boolean): void
}

/** The validator that the HTTP framework itself brings along. */
function createAjv(): Ajv {
  const load = createRequire(createRequire(import.meta.url).resolve('fastify'))
  const loadAjv = createRequire(load.resolve('@fastify/ajv-compiler'))
  const { default: Ajv2020 } = loadAjv('ajv/dist/2020') as { default: new (options: object) => Ajv }
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  for (const format of ['uri', 'uri-reference', 'media-range', 'regex', 'email']) ajv.addFormat(format, true)
  return ajv
}

interface Operation {
  readonly operationId: string
  readonly security?: readonly object[]
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>>
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

async function describeIt(): Promise<{ at: Fixture; document: Document }> {
  made = await fixture()
  const answer = await made.app.inject({ url: '/api/openapi.json' })
  expect(answer.headers['content-type']).toContain('application/json')
  return { at: made, document: answer.json<Document>() }
}

function operations(document: Document): readonly (readonly [string, Operation])[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  )
}

describe('the description of the API', () => {
  it('is a valid OpenAPI 3.1 document by the schema of the OpenAPI project', async () => {
    const { document } = await describeIt()
    const result = await new Validator().validate(document as unknown as Record<string, unknown>)
    expect(result.errors ?? []).toEqual([])
    expect(result.valid).toBe(true)
  })

  it('uses only JSON Schemas that compile, with references that lead somewhere', async () => {
    const { document } = await describeIt()
    const ajv = createAjv()
    const schemas = operations(document).flatMap(([, operation]) => [
      ...(operation.parameters ?? []).map((parameter) => parameter.schema),
      ...[operation.requestBody, ...Object.values(operation.responses)].flatMap((part) =>
        Object.values(part?.content ?? {}).map((content) => content.schema),
      ),
    ])
    expect(schemas.length).toBeGreaterThan(30)
    for (const schema of schemas) expect(() => ajv.compile({ ...schema, components: document.components })).not.toThrow()
  })

  it('has one entry per route, each with a name of its own and what it needs', async () => {
    const { at, document } = await describeIt()
    const described = operations(document)
    expect(described).toHaveLength(at.routes.length)
    expect(new Set(described.map(([, operation]) => operation.operationId)).size).toBe(described.length)
    const open = described.filter(([, operation]) => operation.security?.length === 0).map(([name]) => name)
    expect(open.toSorted()).toEqual(['POST /api/v1/agent/enrol', 'POST /api/v1/session', 'POST /api/v1/session/redeem'])
    const put = document.paths['/api/v1/spec']?.['put']
    expect(put?.parameters).toContainEqual(expect.objectContaining({ name: 'If-Match', in: 'header', required: true }))
    expect(document.paths['/api/v1/tokens']?.['post']?.parameters).toContainEqual(
      expect.objectContaining({ name: 'Idempotency-Key', in: 'header' }),
    )
  })

  it('says what the server really checks: a body that it allows is accepted, one that it forbids is not', async () => {
    const { at, document } = await describeIt()
    const schema = document.paths['/api/v1/session']?.['post']?.requestBody?.content['application/json']?.schema
    const validate = createAjv().compile({ ...schema, components: document.components })
    for (const payload of [
      { name: 'a', password: 'b' },
      { name: 'a' },
      { name: 'a', password: 'b', extra: 1 },
      { name: 1, password: 'b' },
    ]) {
      const { statusCode } = await at.app.inject({ method: 'POST', url: '/api/v1/session', payload })
      expect([payload, validate(payload)]).toEqual([payload, statusCode !== 400])
    }
  })

  it('has a browser page whose scripts are files of ours', async () => {
    const { at } = await describeIt()
    const page = await at.app.inject({ url: '/api/docs/' })
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-security-policy']).toContain("script-src 'self';")
    const scripts = [...page.body.matchAll(/<script[^>]*>/g)].map(([tag]) => /src="([^"]+)"/.exec(tag)?.[1])
    expect(scripts.length).toBeGreaterThan(0)
    for (const script of scripts) {
      expect(script).toBeDefined()
      const file = await at.app.inject({ url: new URL(script ?? '', 'http://localhost/api/docs/').pathname })
      expect([script, file.statusCode, String(file.headers['content-type'])]).toEqual([script, 200, expect.stringContaining('javascript')])
    }
  })
})
