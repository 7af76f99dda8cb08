import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { faultKinds } from '../../src/simulate/faults/registry.ts'
import { safetyProperties } from '../../src/simulate/properties/registry.ts'

const page = readFileSync('docs/simulation.md', 'utf8')

/** Cells of the table between two marks, without its head. */
function rowsOf(name: string): readonly (readonly string[])[] {
  const [, section = ''] = new RegExp(`<!-- ${name} -->(.*)<!-- /${name} -->`, 's').exec(page) ?? []
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

it('has a row for each kind of fault, with how often chance brings it', () => {
  const rates = faultKinds.map(({ kind, perDay, per }) => `\`${kind}\` comes ${perDay === 0 ? 'in scripts' : `${perDay} a day, ${per}`}`)
  const rows = rowsOf('faults').map(([kind, rate]) => `${kind ?? ''} comes ${rate ?? ''}`)
  expect(rows.toSorted()).toEqual(rates.toSorted())
})

it('has a row for each property, with where it comes from', () => {
  expect(rowsOf('properties')).toEqual(safetyProperties.map(({ name, from }) => [name, from]))
})

it('has kinds and properties of different names', () => {
  for (const names of [faultKinds.map(({ kind }) => kind), safetyProperties.map(({ name }) => name)])
    expect(new Set(names).size).toBe(names.length)
})
