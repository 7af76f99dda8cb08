import { expect } from 'vitest'
import type { z } from 'zod'

/** What a schema lets through and what it refuses, field by field. */
export interface Held {
  /** A value with every field. */
  readonly sample: Readonly<Record<string, unknown>>
  /** Fields that may be left out, and what then stands there; undefined: nothing. */
  readonly optional?: Readonly<Record<string, unknown>>
  /** Fields in which anything goes. */
  readonly anything?: readonly string[]
  /** Other good values of fields. */
  readonly good?: Readonly<Record<string, readonly unknown[]>>
  /** Bad values of fields, besides one of a wrong type. */
  readonly bad?: Readonly<Record<string, readonly unknown[]>>
  /** Whether unknown fields are kept instead of refused. */
  readonly loose?: boolean
}

/** Checks that a schema holds: samples pass unchanged, and each field that is missing, unknown or of a wrong kind is refused. */
export function expectHeld(schema: z.ZodType, held: Held): void {
  expect(schema.parse(held.sample)).toEqual(held.sample)
  expect([...missingFields(schema, held), ...wrongTypes(schema, held), ...values(schema, held), ...unknownField(schema, held)]).toEqual([])
}

function missingFields(schema: z.ZodType, held: Held): string[] {
  const { sample, optional = {}, anything = [] } = held
  return Object.keys(sample).flatMap((key) => {
    const without = Object.fromEntries(Object.entries(sample).filter(([name]) => name !== key))
    const found = schema.safeParse(without)
    if (!(key in optional)) return found.success === anything.includes(key) ? [] : [`may ${found.success ? '' : 'not '}be left out: ${key}`]
    expect(found.data).toEqual(optional[key] === undefined ? without : { ...without, [key]: optional[key] })
    return []
  })
}

function wrongTypes(schema: z.ZodType, held: Held): string[] {
  const checked = Object.keys(held.sample).filter((key) => held.anything?.includes(key) !== true)
  const passed = checked.filter((key) => schema.safeParse({ ...held.sample, [key]: Symbol('of no type') }).success)
  return passed.map((key) => `of any type: ${key}`)
}

function values(schema: z.ZodType, held: Held): string[] {
  const complaints: string[] = []
  for (const [expected, fields] of [
    [true, held.good ?? {}],
    [false, held.bad ?? {}],
  ] as const) {
    for (const [key, list] of Object.entries(fields)) {
      for (const value of list) {
        const isTaken = schema.safeParse({ ...held.sample, [key]: value }).success
        if (isTaken !== expected) complaints.push(`${isTaken ? 'taken' : 'refused'}: ${key} = ${JSON.stringify(value).slice(0, 100)}`)
      }
    }
  }
  return complaints
}

function unknownField(schema: z.ZodType, held: Held): string[] {
  const found = schema.safeParse({ ...held.sample, aFieldThatNobodyKnows: 1 })
  if (found.success !== (held.loose === true)) return [`an unknown field is ${found.success ? 'taken' : 'refused'}`]
  if (found.success) expect(found.data).toHaveProperty('aFieldThatNobodyKnows')
  return []
}
