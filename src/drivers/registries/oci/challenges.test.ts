import { describe, expect, it } from 'vitest'
import { readChallenge } from './challenges.ts'

describe('what a registry says with 401', () => {
  it('is read as GitHub, Docker and Google write it', () => {
    const header = 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:acme/macos:pull"'
    expect(readChallenge(header)).toEqual({
      scheme: 'bearer',
      realm: 'https://ghcr.io/token',
      service: 'ghcr.io',
      scopes: ['repository:acme/macos:pull'],
      error: null,
    })
    expect(readChallenge('Basic realm="Registry Realm"')).toEqual({ scheme: 'basic' })
    expect(readChallenge('bearer realm=https://x.example/t, error="insufficient_scope", scope="a:b:pull,push c:d:pull"')).toMatchObject({
      realm: 'https://x.example/t',
      service: null,
      scopes: ['a:b:pull,push', 'c:d:pull'],
      error: 'insufficient_scope',
    })
  })

  it('is taken as Bearer where both ways are offered, in any order', () => {
    for (const header of [
      'Basic realm="a", Bearer realm="https://t"',
      'Bearer realm="https://t", Basic realm="a"',
      'Negotiate, Bearer realm="https://t"',
    ]) {
      expect(readChallenge(header)).toMatchObject({ scheme: 'bearer', realm: 'https://t' })
    }
  })

  it('may hold anything within quotes', () => {
    const header = String.raw`Bearer realm="https://t/?a=1,b=2",service="Bearer \"of\" Basic, realm=\"no\"",scope=""`
    expect(readChallenge(header)).toEqual({
      scheme: 'bearer',
      realm: 'https://t/?a=1,b=2',
      service: 'Bearer "of" Basic, realm="no"',
      scopes: [],
      error: null,
    })
  })

  it.each([undefined, '', 'Negotiate', 'Bearer service="x"', 'Digest realm="Bearer"'])('is nothing that is spoken here: %j', (header) => {
    expect(readChallenge(header)).toBeNull()
  })
})
