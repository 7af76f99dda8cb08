import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatImageReference, parseImageReference } from './reference.ts'

const word = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8})?$/)
const references = fc.record({
  registry: fc.constantFrom('ghcr.io', 'localhost:5000', '127.0.0.1:5000', 'registry.example.com', '[::1]:5000'),
  repository: fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('/')),
  tag: fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/)),
  digest: fc.option(fc.stringMatching(/^sha256:[0-9a-f]{64}$/)),
})

describe('references of images', () => {
  it('a reference is read as it was written [002-06]', () => {
    fc.assert(
      fc.property(references, (reference) => {
        expect(parseImageReference(formatImageReference(reference))).toEqual(reference)
      }),
    )
  })

  it.each([
    ['macos-15', 'is not the host of a registry'],
    ['acme/macos-15', 'is not the host of a registry'],
    ['ghcr.io/Acme/macos', 'is not a repository'],
    ['ghcr.io/acme/macos:', 'is not a tag'],
    ['ghcr.io/acme/macos@sha256:abc', 'is not a digest'],
    ['ghcr.io/acme/macos@sha256:abc@sha256:abc', 'more than one @'],
    ['ghcr.io/acme/../macos', 'is not a repository'],
  ])('refuses %s and says what is wrong', (text, problem) => {
    expect(() => parseImageReference(text)).toThrow(problem)
  })
})
