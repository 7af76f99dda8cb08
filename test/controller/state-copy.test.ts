import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import type { ControllerView, HostView, JobView } from '../../src/model/api.ts'
import { runCidery, type Finished } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'
import { startPostgres } from '../store/postgres-server.ts'
import { controllerProcess, type ControllerProcess } from './controller-process.ts'

const postgres = await startPostgres()
afterAll(() => postgres.stop())

let storeUrl: string
let controller: ControllerProcess

beforeEach(async () => {
  storeUrl = await postgres.createDatabase()
  controller = await controllerProcess()
  await controller.start()
})

afterEach(async () => {
  await controller.remove()
})

const ended = (id: string): Promise<z.infer<typeof JobView>> =>
  waitFor(`the job ${id} to end`, async () => {
    const job = await controller.api.get<z.infer<typeof JobView>>(`/jobs/${id}`)
    return job.state === 'ended' ? job : null
  })

function copy(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Finished> {
  return runCidery(['state', 'copy', '--state', controller.state, ...words], { env, deadlineMs: 60_000 })
}

describe('cidery state copy', { timeout: 240_000 }, () => {
  it('moves a fleet to PostgreSQL: its host goes on, its jobs and their logs are there, the old state is not started by mistake', async () => {
    await controller.agent('mini-1')
    const before = await controller.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'] })
    await ended(before.id)
    const urlFile = join(controller.state, 'store-url')
    await writeFile(urlFile, `${storeUrl}\n`, { mode: 0o600 })
    const env = { CIDERY_STORE_URL_FILE: urlFile }

    const running = await copy([], env)
    expect(running.code).toBe(1)
    expect(running.stderr).toContain('Another controller is already running')
    await controller.stop()

    const dry = await copy(['--dry-run'], env)
    expect(dry.stderr).toContain('nothing was changed')
    expect(dry.stdout.toString()).toContain('1 rows')
    const done = await copy(['--output', 'json'], env)
    expect(done.stderr).toBe('')
    expect(JSON.parse(done.stdout.toString())).toMatchObject({ dryRun: false, tables: expect.arrayContaining([{ name: 'jobs', rows: 1 }]) })
    const again = await copy([], env)
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('the target is not empty')
    for (const run of [running, dry, done, again]) expect(`${run.stdout.toString()}${run.stderr}`).not.toContain(new URL(storeUrl).password)

    const old = await runCidery(['controller', 'run', '--state', controller.state, '--listen', '127.0.0.1:0'], { deadlineMs: 60_000 })
    expect(old.code).toBe(1)
    expect(old.stderr).toContain('this state was moved to postgres://')
    await controller.start(env)
    expect(await controller.api.get<z.infer<typeof ControllerView>>('/controller')).toMatchObject({ leads: true, epoch: 2 })
    expect(await controller.api.text(`/jobs/${before.id}/log`)).toBe('')
    expect(await controller.api.get('/audit/verify')).toMatchObject({ ok: true })
    await waitFor('the host to come back', async () => {
      const host = await controller.api.get<z.infer<typeof HostView>>('/hosts/mini-1')
      return host.state === 'up'
    })
    const after = await controller.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'] })
    expect(await ended(after.id)).toMatchObject({ outcome: { kind: 'exited', code: 0 } })
  })

  it('takes no password as an argument, and names what is missing', async () => {
    await controller.stop()
    const shown = await copy(['--to', storeUrl])
    expect(shown.code).toBe(1)
    expect(shown.stderr).toContain('the password of the database is in an argument')
    expect(shown.stderr).toContain('leave out --to')
    expect(shown.stderr).not.toContain(new URL(storeUrl).password)
    const none = await copy([])
    expect(none.stderr).toContain('no PostgreSQL is named to copy to')
    const empty = await runCidery(['state', 'copy', '--state', join(controller.state, 'nothing')], { env: { CIDERY_STORE_URL: storeUrl } })
    expect(empty.stderr).toContain('there is no state of a controller in')
  })
})
