import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let directory = ''
let made: Fixture | undefined
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-web-'))
  await mkdir(join(directory, 'dist', 'assets'), { recursive: true })
  await writeFile(join(directory, 'dist', 'index.html'), '<!doctype html><title>dashboard</title>')
  await writeFile(join(directory, 'dist', 'assets', 'app-1a2b.js'), 'export {}')
  await writeFile(join(directory, 'dist', 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>')
  await writeFile(join(directory, 'dist', '.env'), 'SECRET=1')
  await writeFile(join(directory, 'secret.txt'), 'top secret')
})
afterEach(async () => {
  await made?.close()
  made = undefined
  await rm(directory, { recursive: true, force: true })
})

async function open(webRoot: string | null = join(directory, 'dist')): Promise<Fixture> {
  made = await fixture({ server: { webRoot } })
  return made
}

const browser = { accept: 'text/html,application/xhtml+xml' }

describe('the dashboard', () => {
  it('is one page for each of its paths, and files with their types', async () => {
    const at = await open()
    for (const url of ['/', '/jobs', '/jobs/job_01abc', '/hosts/mini-1?tab=log', '/index.html']) {
      const answer = await at.app.inject({ url, headers: browser })
      expect([url, answer.statusCode, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([
        url,
        200,
        'text/html; charset=utf-8',
        'no-cache',
      ])
      expect(answer.body).toContain('dashboard')
    }
    const script = await at.app.inject({ url: '/assets/app-1a2b.js' })
    expect([script.statusCode, script.headers['content-type'], script.headers['cache-control']]).toEqual([
      200,
      expect.stringContaining('javascript'),
      'public, max-age=31536000, immutable',
    ])
    expect((await at.app.inject({ url: '/icon.svg' })).headers['content-type']).toContain('image/svg+xml')
  })

  it('says so where a file or a path of the API is not there', async () => {
    const at = await open()
    for (const url of ['/assets/gone.js', '/api/v1/gone', '/api/gone'])
      expect([url, (await at.app.inject({ url, headers: browser })).statusCode]).toEqual([url, 404])
    expect((await at.app.inject({ url: '/jobs' })).statusCode).toBe(404)
  })

  it('gives no file from outside, none hidden, and no list of files', async () => {
    await symlink(join(directory, 'secret.txt'), join(directory, 'dist', 'link.txt'))
    const at = await open()
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const paths = [
      '/../secret.txt',
      '/..%2fsecret.txt',
      '/%2e%2e/secret.txt',
      '/assets/../../secret.txt',
      '/assets/..%2f..%2fsecret.txt',
      '/..\\secret.txt',
      '/%2e%2e%5csecret.txt',
      '//secret.txt',
      '/assets/%00',
      '/.env',
      '/%2eenv',
      '/assets/',
      '/assets',
      '/....//secret.txt',
      `/${encodeURIComponent(join(directory, 'secret.txt'))}`,
      '/static/../../secret.txt',
    ]
    for (const path of paths) {
      const socket = connect(port, '127.0.0.1')
      socket.end(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
      let answer = ''
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
      await once(socket, 'close')
      expect([path, answer.split('\r\n', 1)[0]]).toEqual([path, expect.stringMatching(/^HTTP\/1\.1 (?:400|403|404) /)])
      expect(answer).not.toMatch(/top secret|SECRET=1|app-1a2b/)
    }
  })

  it('says how to build it where it is not built', async () => {
    const at = await open(join(directory, 'nothing'))
    expect((await at.app.inject({ url: '/', headers: browser })).body).toContain('npm run build')
  })
})
