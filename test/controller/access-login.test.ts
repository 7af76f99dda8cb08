import { afterEach, describe, expect, it } from 'vitest'
import { bearer, fixture, password } from './access-fixture.ts'
import type { Fixture, FixtureOptions } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

async function open(options?: FixtureOptions): Promise<Fixture> {
  made = await fixture(options)
  return made
}

/** Tries a name (at an address: `alice@10.0.0.2`) with a password. */
async function tryIn(at: Fixture, who: string, word: string) {
  const [name = '', from = '10.0.0.1'] = who.split('@')
  return at.app.inject({ method: 'POST', url: '/api/v1/session', remoteAddress: from, payload: { name, password: word } })
}

describe('signing in', () => {
  it('keeps passwords only as slow salted hashes [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'admin')
    await at.addUser('bob', 'admin')
    const rows = await at.ports.store.read((db) => db.selectFrom('users').select('password_hash').execute())
    expect(rows.map((row) => row.password_hash)).toEqual([expect.stringMatching(/^\$scrypt\$/), expect.stringMatching(/^\$scrypt\$/)])
    expect(rows[0]?.password_hash).not.toBe(rows[1]?.password_hash)
    expect(JSON.stringify(rows)).not.toContain(password)
  })

  it('gives a cookie that scripts and other sites cannot use, and a session of 24 hours [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'operator', ['ci'])
    const answer = await tryIn(at, 'alice', password)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      user: 'alice',
      role: 'operator',
      scopes: ['read', 'jobs', 'hosts'],
      queues: ['ci'],
      expiresAt: at.time.clock.now() + 86_400_000,
    })
    expect(answer.cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 86_400 })
    const cookie = `${answer.cookies[0]?.name}=${answer.cookies[0]?.value}`
    const look = async () => (await at.app.inject({ url: '/api/v1/session', headers: { cookie } })).statusCode
    await at.time.advance(86_399_000)
    expect(await look()).toBe(200)
    await at.time.advance(1_000)
    expect(await look()).toBe(401)
  })

  it('marks the cookie Secure and __Host- when it speaks TLS [003-44]', async () => {
    const at = await open({ names: ['localhost', '127.0.0.1'] })
    await at.addUser('alice', 'viewer')
    const answer = await tryIn(at, 'alice', password)
    expect(answer.cookies[0]).toMatchObject({ name: '__Host-cidery', secure: true, httpOnly: true, path: '/' })
    expect(answer.headers['strict-transport-security']).toContain('max-age')
  })

  it('keeps only a hash of the session', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    const secret = (await tryIn(at, 'alice', password)).cookies[0]?.value ?? ''
    const rows = await at.ports.store.read((db) => db.selectFrom('sessions').selectAll().execute())
    expect(rows).toHaveLength(1)
    expect(JSON.stringify(rows)).not.toContain(secret)
  })

  it('refuses the sixth wrong try within a minute for a name, from wherever it comes [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    for (let i = 1; i <= 5; i += 1) expect((await tryIn(at, `alice@10.0.0.${i}`, 'wrong')).statusCode).toBe(401)
    const sixth = await tryIn(at, 'alice@10.0.0.99', password)
    expect(sixth.statusCode).toBe(429)
    expect(Number(sixth.headers['retry-after'])).toBeGreaterThan(50)
    await at.time.advance(60_000)
    expect((await tryIn(at, 'alice@10.0.0.99', password)).statusCode).toBe(200)
  })

  it('refuses the sixth wrong try within a minute from an address, for whatever name [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    for (let i = 1; i <= 5; i += 1) expect((await tryIn(at, `guess-${i}`, 'wrong')).statusCode).toBe(401)
    expect((await tryIn(at, 'alice', password)).statusCode).toBe(429)
    expect((await tryIn(at, 'alice@10.0.0.2', password)).statusCode).toBe(200)
  })

  it('counts tries that are sent at once', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    const answers = await Promise.all(Array.from({ length: 30 }, () => tryIn(at, 'alice', 'wrong')))
    expect(answers.filter((answer) => answer.statusCode === 401)).toHaveLength(5)
    expect(answers.filter((answer) => answer.statusCode === 429)).toHaveLength(25)
  })

  it('does not count a right password, so that nobody locks themselves out by working', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    for (let i = 0; i < 12; i += 1) expect((await tryIn(at, 'alice', password)).statusCode).toBe(200)
  })

  it('does the same work and gives the same answer for a name that is not there', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    const user = await at.addUser('gone', 'viewer')
    await at.ports.store.write((tx) => tx.updateTable('users').set({ disabled: 1 }).where('id', '=', user.id).execute())
    const answers = [
      await tryIn(at, 'alice@10.0.0.1', 'wrong'),
      await tryIn(at, 'nobody@10.0.0.2', 'wrong'),
      await tryIn(at, 'gone@10.0.0.3', password),
    ]
    expect(new Set(answers.map((answer) => answer.body)).size).toBe(1)
    expect(answers.map((answer) => answer.statusCode)).toEqual([401, 401, 401])
  })

  it('checks a hash of the same cost for a name that is not there', async () => {
    const at = await open()
    const checked: string[] = []
    const guard = await import('../../src/serve/access/login-guard.ts')
    const hasher = {
      ...at.ports.hasher,
      verify: async (word: string, hash: string) => {
        checked.push(hash)
        return at.ports.hasher.verify(word, hash)
      },
    }
    const login = await guard.createLoginGuard({ ...at.ports, hasher })
    expect(await login.check({ name: 'nobody', origin: '10.0.0.1', password: 'x', passwordHash: null })).toBe(false)
    expect(checked).toEqual([expect.stringMatching(/^\$scrypt\$ln=10,/)])
  })

  it('writes each sign-in and each refusal into the journal, but no name that is no user', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    await tryIn(at, 'alice@10.0.0.7', password)
    await tryIn(at, 'alice@10.0.0.8', 'wrong')
    await tryIn(at, 'my-secret-password@10.0.0.9', 'alice')
    const events = await at.events()
    expect(events.map(({ kind, actor, subject, origin, result }) => ({ kind, actor, subject, origin, result }))).toEqual([
      { kind: 'user.login', actor: 'user:alice', subject: 'user/alice', origin: '10.0.0.7', result: 'ok' },
      { kind: 'user.loginFailed', actor: 'anonymous', subject: 'user/alice', origin: '10.0.0.8', result: 'refused' },
      { kind: 'user.loginFailed', actor: 'anonymous', subject: 'user/unknown', origin: '10.0.0.9', result: 'refused' },
    ])
    expect(JSON.stringify(events)).not.toContain('my-secret-password')
  })
})

describe('a browser session', () => {
  it('writes only with its CSRF token [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'admin')
    const { 'x-cidery-csrf': token, ...headers } = await at.signIn('alice')
    const write = async (csrf: Record<string, string>) =>
      at.app.inject({
        method: 'POST',
        url: '/api/v1/tokens',
        headers: { ...headers, ...csrf },
        payload: { name: 'a', scopes: ['read'] },
      })
    expect((await write({})).statusCode).toBe(403)
    expect((await write({ 'x-cidery-csrf': 'x'.repeat(64) })).statusCode).toBe(403)
    expect((await write({ 'x-cidery-csrf': token ?? '' })).statusCode).toBe(201)
    expect((await at.events()).filter((event) => event.kind === 'access.denied')).toHaveLength(2)
  })

  it('has a CSRF token of its own', async () => {
    const at = await open()
    await at.addUser('alice', 'admin')
    const one = await at.signIn('alice')
    const other = await at.signIn('alice')
    const headers = { ...one, 'x-cidery-csrf': other['x-cidery-csrf'] ?? '' }
    expect((await at.app.inject({ method: 'DELETE', url: '/api/v1/session', headers })).statusCode).toBe(403)
  })

  it.each([
    ['another site', 'https://evil.example'],
    ['another port', 'http://localhost:81'],
    ['another scheme', 'https://localhost:80'],
    ['a sandboxed frame', 'null'],
    ['a name that only starts like ours', 'http://localhost:80.evil.example'],
  ])('is refused when the write comes from %s [003-44]', async (_what, origin) => {
    const at = await open()
    await at.addUser('alice', 'admin')
    const headers = { ...(await at.signIn('alice')), origin }
    expect((await at.app.inject({ method: 'DELETE', url: '/api/v1/session', headers })).statusCode).toBe(403)
  })

  it('is refused when the write names no origin at all [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'admin')
    const { origin: _origin, ...headers } = await at.signIn('alice')
    expect((await at.app.inject({ method: 'DELETE', url: '/api/v1/session', headers })).statusCode).toBe(403)
  })

  it('cannot be opened by a page of another site [003-44]', async () => {
    const at = await open()
    await at.addUser('alice', 'admin')
    const headers = { origin: 'https://evil.example' }
    const answer = await at.app.inject({ method: 'POST', url: '/api/v1/session', headers, payload: { name: 'alice', password } })
    expect(answer.statusCode).toBe(403)
    expect(answer.cookies).toEqual([])
  })

  it('answers every page with a policy that allows no inline script [003-44]', async () => {
    const at = await open()
    for (const url of ['/', '/jobs/job_1', '/api/v1/session', '/nothing.js', '/api/docs', '/api/docs/static/swagger-ui.css', '/healthz']) {
      const { headers } = await at.app.inject({ url, headers: { accept: 'text/html' } })
      const policy = String(headers['content-security-policy'])
      const scripts = policy.split('; ').find((part) => part.startsWith('script-src'))
      expect([url, scripts]).toEqual([url, "script-src 'self'"])
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
  })

  it('ends when its user signs out', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    const headers = await at.signIn('alice')
    expect((await at.app.inject({ method: 'DELETE', url: '/api/v1/session', headers })).statusCode).toBe(204)
    expect((await at.app.inject({ url: '/api/v1/session', headers })).statusCode).toBe(401)
    expect((await at.events()).map((event) => event.kind)).toEqual(['user.login', 'user.logout'])
  })

  it('ends when the password changes, when the user is disabled, and when the user is removed', async () => {
    const at = await open()
    const admin = await at.tokenOf('admin')
    const changes = { changed: { password: 'another long password' }, disabled: { disabled: true }, removed: null }
    for (const [name, patch] of Object.entries(changes)) {
      await at.addUser(name, 'viewer')
      const headers = await at.signIn(name)
      expect((await at.app.inject({ url: '/api/v1/session', headers })).statusCode).toBe(200)
      const change = { headers: { ...bearer(admin), 'if-match': '"1"' }, url: `/api/v1/users/${name}` }
      const answer =
        patch === null
          ? await at.app.inject({ method: 'DELETE', ...change })
          : await at.app.inject({ method: 'PATCH', ...change, payload: patch })
      expect(answer.statusCode).toBeLessThan(300)
      expect((await at.app.inject({ url: '/api/v1/session', headers })).statusCode).toBe(401)
    }
  })

  it('lets people change their own password, which ends their other sessions', async () => {
    const at = await open()
    await at.addUser('alice', 'viewer')
    const here = await at.signIn('alice')
    const elsewhere = await at.signIn('alice')
    const change = async (currentPassword: string, newPassword: string) =>
      (await at.app.inject({ method: 'POST', url: '/api/v1/session/password', headers: here, payload: { currentPassword, newPassword } }))
        .statusCode
    expect(await change('not the password', 'a new long password')).toBe(403)
    expect(await change(password, 'too short')).toBe(400)
    expect(await change(password, 'a new long password')).toBe(204)
    expect((await at.app.inject({ url: '/api/v1/session', headers: here })).statusCode).toBe(200)
    expect((await at.app.inject({ url: '/api/v1/session', headers: elsewhere })).statusCode).toBe(401)
    expect((await tryIn(at, 'alice', password)).statusCode).toBe(401)
    expect((await tryIn(at, 'alice', 'a new long password')).statusCode).toBe(200)
  })
})

describe('a login code', () => {
  it('signs in once, for ten minutes', async () => {
    const at = await open()
    const { createLoginCode } = await import('../../src/serve/access/session-routes.ts')
    await at.addUser('admin', 'admin')
    const redeem = async (code: string) => at.app.inject({ method: 'POST', url: '/api/v1/session/redeem', payload: { code } })
    const code = await createLoginCode(at.ports, 'admin')
    const answer = await redeem(code)
    expect(answer.statusCode).toBe(200)
    expect(answer.cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict' })
    expect((await redeem(code)).statusCode).toBe(401)
    const late = await createLoginCode(at.ports, 'admin')
    await at.time.advance(600_000)
    expect((await redeem(late)).statusCode).toBe(401)
  })

  it('is redeemed by one of two that are sent at once', async () => {
    const at = await open()
    const { createLoginCode } = await import('../../src/serve/access/session-routes.ts')
    await at.addUser('admin', 'admin')
    const code = await createLoginCode(at.ports, 'admin')
    const answers = await Promise.all(
      [1, 2, 3].map(() => at.app.inject({ method: 'POST', url: '/api/v1/session/redeem', payload: { code } })),
    )
    expect(answers.map((answer) => answer.statusCode).sort((one, other) => one - other)).toEqual([200, 401, 401])
  })

  it('is no session itself, and cannot be guessed at for long', async () => {
    const at = await open()
    const { createLoginCode } = await import('../../src/serve/access/session-routes.ts')
    await at.addUser('admin', 'admin')
    const code = await createLoginCode(at.ports, 'admin')
    expect((await at.app.inject({ url: '/api/v1/session', headers: { cookie: `cidery-session=${code}` } })).statusCode).toBe(401)
    const guess = async () =>
      (await at.app.inject({ method: 'POST', url: '/api/v1/session/redeem', payload: { code: `cidery_code_${'A'.repeat(43)}` } }))
        .statusCode
    const answers = []
    for (let i = 0; i < 6; i += 1) answers.push(await guess())
    expect(answers).toEqual([401, 401, 401, 401, 401, 429])
  })
})
