import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  dateFields,
  datedNameTemplate,
  defaultNameTemplate,
  formatImageName,
  isImageName,
  nameFields,
  NameTemplate,
  parseImageName,
  readNameTemplate,
  templateProblem,
} from './name.ts'
import type { NameField } from './name.ts'
import { formatImageReference, parseImageReference } from './reference.ts'

const version = fc.stringMatching(/^\d{1,3}(?:\.\d{1,3}){0,3}(?:-[a-z0-9]{1,8}(?:[.-][a-z0-9]{1,5})?)?$/)
const moment = fc.integer({ min: 0, max: 4_000_000_000_000 }).map(dateFields)
const values = fc
  .record({
    release: fc.stringMatching(/^(?:\d{1,2}|[a-z]{3,8})$/),
    version,
    recipe: version,
    moment,
    build: fc.stringMatching(/^[0-9a-z]{4,26}$/),
    arch: fc.constantFrom('arm64', 'x64'),
  })
  .map(({ moment: { date, time }, ...rest }) => ({ ...rest, date, time }))
const literal = fc.stringMatching(/^-[a-z._]{0,6}$/)
const templates = fc
  .tuple(
    fc.stringMatching(/^[a-z][a-z0-9-]{0,10}-$/),
    fc.shuffledSubarray([...nameFields], { minLength: 1 }),
    fc.array(literal, { minLength: 8, maxLength: 8 }),
  )
  .map(
    ([start, fields, between]) =>
      start + fields.map((field, index) => `{${field}}${index === fields.length - 1 ? '' : between[index]}`).join(''),
  )
const only = (fields: readonly NameField[], all: Readonly<Record<NameField, string>>) =>
  Object.fromEntries(fields.map((field) => [field, all[field]]))

describe('names of images', () => {
  it('a name is read back as its fields, whatever the template [000-52]', () => {
    fc.assert(
      fc.property(templates, values, (template, all) => {
        const name = readNameTemplate(template)
        expect(parseImageName(name, formatImageName(name, all))).toEqual(only(name.fields, all))
      }),
    )
  })

  it.each([defaultNameTemplate, datedNameTemplate, 'bun-build-macos-{version}'])(
    '%s gives its fields back [000-52] [002-05]',
    (template) => {
      const name = readNameTemplate(template)
      fc.assert(
        fc.property(values, (all) => {
          expect(parseImageName(name, formatImageName(name, all))).toEqual(only(name.fields, all))
        }),
      )
    },
  )

  it('the name is that of the predecessors [000-52]', () => {
    expect(formatImageName(readNameTemplate(defaultNameTemplate), { release: '14', version: '1.2.17', recipe: '3.6' })).toBe(
      'bun-build-macos-14-1.2.17-bootstrap-3.6',
    )
  })

  it.each([
    'bun-build-macos-14-1.2.17-bootstrap-3.60',
    'bun-build-macos-14-1.2.17-bootstrap-3.6.1',
    'bun-build-macos-14-1.2.17-bootstrap-3.6-new',
    'ghcr.io/acme/bun-build-macos-14-1.2.17-bootstrap-3.6',
    'bun-build-macos-14-1x2.17-bootstrap-3.7',
  ])('%s does not do for the recipe 3.6 [000-02]', (name) => {
    const wanted = { release: '14', version: '1.2.17', recipe: '3.6' }
    expect(isImageName(readNameTemplate(defaultNameTemplate), 'bun-build-macos-14-1.2.17-bootstrap-3.6', wanted)).toBe(true)
    expect(isImageName(readNameTemplate(defaultNameTemplate), name, wanted)).toBe(false)
  })

  it('no value is taken for another that it begins or ends [000-02]', () => {
    const name = readNameTemplate(defaultNameTemplate)
    fc.assert(
      fc.property(values, values, (one, other) => {
        const wanted = only(name.fields, other)
        expect(isImageName(name, formatImageName(name, one), wanted)).toBe(name.fields.every((field) => one[field] === other[field]))
      }),
    )
  })

  it('names of two builds of one day differ, and sort by time [001-02]', () => {
    const name = readNameTemplate(datedNameTemplate)
    const at = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000)
    fc.assert(
      fc.property(at, at, (first, second) => {
        const of = (moment: number, build: string) => formatImageName(name, { release: '15', build, ...dateFields(moment) })
        expect(of(first, 'aaaa')).not.toBe(of(first, 'bbbb'))
        if (first < second) expect(of(first, 'zzzz') < of(second, 'aaaa')).toBe(true)
      }),
    )
    expect(formatImageName(name, { release: '15', build: 'k3x9', ...dateFields(Date.UTC(2026, 10, 30, 2)) })).toBe(
      'bun-macos-15-2026-11-30-020000-k3x9',
    )
  })

  it('the version of a name goes through a tag of a registry [002-06]', () => {
    fc.assert(
      fc.property(values, (all) => {
        const name = readNameTemplate('{version}')
        const text = formatImageReference({
          registry: 'ghcr.io',
          repository: 'acme/bun/bun-build-macos',
          tag: formatImageName(name, all),
          digest: null,
        })
        expect(parseImageName(name, parseImageReference(text).tag ?? '')).toEqual({ version: all.version })
      }),
    )
  })

  it.each([
    ['macos-{release}{version}', '{release} and {version} have nothing between them'],
    ['macos-{version}.{recipe}', '"." behind {version} could belong to it'],
    ['macos-{release}x{version}', '"x" behind {release} could belong to it'],
    ['macos-{release}-{release}', '{release} is there twice'],
    ['macos', 'it has no field'],
    ['macos-{major}', 'there is no field {major}'],
    ['macos-{release', 'cannot be in the name of an image'],
    ['macos/{release}', 'cannot be in the name of an image'],
    ['-{release}', 'it starts with neither'],
    ['', 'it has no field'],
  ])('the template %s is refused: its names could not be read back [000-52]', (template, problem) => {
    expect(templateProblem(template)).toContain(problem)
    expect(() => readNameTemplate(template)).toThrow(problem)
    expect(NameTemplate.safeParse(template).success).toBe(false)
  })

  it.each([
    ['version', undefined],
    ['version', ''],
    ['version', '1_2'],
    ['version', '1.2+abc'],
    ['release', 'Ventura'],
    ['date', '30-11-2026'],
    ['build', 'a-b'],
  ] as const)('%s %s is refused, for it could not be read back [000-52]', (field, value) => {
    const name = readNameTemplate(`macos-{${field}}-x`)
    expect(() => formatImageName(name, value === undefined ? {} : { [field]: value })).toThrow(field)
  })
})
