import { z } from 'zod'
import * as api from '../model/api.ts'
import { errorCodes } from '../model/errors.ts'
import { restName } from './read-input.ts'
import type { Route } from './route.ts'

/** A JSON Schema as zod writes it. */
type JsonSchema = Readonly<Record<string, unknown>>

interface Described {
  readonly routes: readonly Route[]
  readonly prefix: string
  readonly version: string
}

/** Schemas with a name of their own in the document: those of model/api.ts. */
const named = new Map<z.ZodType, string>(
  Object.entries(api).flatMap(([name, value]) => (value instanceof z.ZodType ? [[value, name] as const] : [])),
)

/** The OpenAPI 3.1 description of routes, made from the same declarations that the server checks requests with. */
export function describeApi(described: Described): JsonSchema {
  const components: Record<string, unknown> = {}
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of described.routes) {
    const path = described.prefix + openApiPath(route.path)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, components) }
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'cidery',
      version: described.version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Runs a fleet of macOS CI machines as if it were one machine. Moments are milliseconds since 1970, sizes are bytes. Writes to a thing with a generation need If-Match; creates take an Idempotency-Key.',
    },
    servers: [{ url: '/' }],
    tags: [...new Set(described.routes.map((route) => route.tag))].sort().map((name) => ({ name })),
    paths,
    components: {
      schemas: sorted({ ...components, Problem: schemaOf(api.Problem, 'output', components) }),
      responses: {
        Problem: {
          description: `An error. Codes: ${Object.keys(errorCodes).join(', ')}.`,
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API token (cidery_tok_…), or a host key (cidery_key_…) for the agent’s routes.',
        },
        session: { type: 'apiKey', in: 'cookie', name: '__Host-cidery', description: 'A browser session; writes also need X-Cidery-Csrf.' },
      },
    },
  }
}

function sorted(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)))
}

function openApiPath(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}').replace(/\/\*(\w*)$/, (_, name: string) => `/{${name === '' ? 'path' : name}}`)
}

function operationOf(route: Route, components: Record<string, unknown>): JsonSchema {
  const parameters = [...parametersOf(route, components), ...headerParameters(route)]
  const body = bodyOf(route, components)
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [route.tag],
    ...(route.access === 'public' ? { security: [] } : { security: securityOf(route), 'x-cidery-access': route.access }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      [String(route.status ?? (route.response === 'empty' ? 204 : 200))]: responseOf(route, components),
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

function securityOf(route: Route): readonly JsonSchema[] {
  return route.access === 'host' ? [{ token: [] }] : [{ token: [] }, { session: [] }]
}

function operationId(route: Route): string {
  const words = route.path
    .split('/')
    .flatMap((part) => part.split(/[^A-Za-z0-9]+/))
    .filter((word) => word !== '')
  return [route.method.toLowerCase(), ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join('')
}

function parametersOf(route: Route, components: Record<string, unknown>): readonly JsonSchema[] {
  const rest = restName(route.path)
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '')
  const inPath = route.params === undefined ? {} : propertiesOf(schemaOf(route.params, 'input', components))
  const path = [...names, ...(rest === undefined ? [] : [rest])].map((name) => ({
    name: name === '*' ? 'path' : name,
    in: 'path',
    required: true,
    schema: inPath[name] ?? { type: 'string' },
  }))
  if (route.query === undefined) return path
  const schema = schemaOf(route.query, 'input', components)
  const required = Array.isArray(schema['required']) ? (schema['required'] as string[]) : []
  return [
    ...path,
    ...Object.entries(propertiesOf(schema)).map(([name, of]) => ({ name, in: 'query', required: required.includes(name), schema: of })),
  ]
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, unknown>> {
  return (schema['properties'] ?? {}) as Record<string, unknown>
}

function headerParameters(route: Route): readonly JsonSchema[] {
  return [
    ...(route.ifMatch === undefined
      ? []
      : [
          {
            name: 'If-Match',
            in: 'header',
            required: true,
            schema: { type: 'string', pattern: '^"[0-9]+"$' },
            description: 'The generation that was read, in quotes.',
          },
        ]),
    ...(route.idempotent === true
      ? [
          {
            name: 'Idempotency-Key',
            in: 'header',
            required: false,
            schema: { type: 'string', maxLength: 255 },
            description: 'The first answer is kept for a day and repeated.',
          },
        ]
      : []),
  ]
}

function bodyOf(route: Route, components: Record<string, unknown>): JsonSchema | undefined {
  if (route.body === undefined) return undefined
  if (route.body === 'bytes') return { required: true, content: { 'application/octet-stream': { schema: {} } } }
  return { required: true, content: { 'application/json': { schema: referenceTo(route.body, 'input', components) } } }
}

function responseOf(route: Route, components: Record<string, unknown>): JsonSchema {
  if (route.response === 'empty') return { description: 'Done.' }
  if (route.response === 'raw') return { description: 'Bytes or a stream; see the summary.' }
  return { description: 'Done.', content: { 'application/json': { schema: referenceTo(route.response, 'output', components) } } }
}

/** A reference for a schema that has a name, else the schema itself. */
function referenceTo(schema: z.ZodType, io: 'input' | 'output', components: Record<string, unknown>): JsonSchema {
  const name = named.get(schema)
  if (name === undefined) return schemaOf(schema, io, components)
  if (components[name] === undefined) {
    components[name] = {}
    components[name] = schemaOf(schema, io, components)
  }
  return { $ref: `#/components/schemas/${name}` }
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Record<string, unknown>): JsonSchema {
  const written = z.toJSONSchema(schema, {
    io,
    target: 'draft-2020-12',
    unrepresentable: 'any',
    reused: 'inline',
    cycles: 'throw',
  }) as Record<string, unknown>
  const { $schema: _schema, $defs, ...rest } = written
  if ($defs === undefined) return rest
  Object.assign(components, $defs)
  return JSON.parse(JSON.stringify(rest).replaceAll('#/$defs/', '#/components/schemas/')) as JsonSchema
}
