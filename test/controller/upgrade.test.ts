import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, it } from 'vitest'
import { runCidery } from '../e2e/processes.ts'
import { controllerProcess, type ControllerProcess } from './controller-process.ts'

let controller: ControllerProcess | undefined

afterEach(async () => {
  await controller?.remove()
  controller = undefined
})

describe('a controller on a state of another release', () => {
  it('refuses one that a newer cidery changed, by the numbers of the schemas, and leaves every byte of it', async () => {
    controller = await controllerProcess()
    await controller.start()
    await controller.stop()
    const file = join(controller.state, 'state.db')
    const database = new DatabaseSync(file)
    database.exec("update meta set value = '99' where key in ('schema', 'schema_minimum')")
    database.exec('pragma wal_checkpoint(truncate)')
    database.close()
    const before = await readFile(file)
    const run = await runCidery(['controller', 'run', '--state', controller.state, '--listen', '127.0.0.1:0'], { deadlineMs: 60_000 })
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('the database has schema 99, which needs a cidery that knows schema 99')
    expect(run.stderr).toContain('install the newer cidery again, or restore the copy that it kept')
    expect(Buffer.compare(await readFile(file), before)).toBe(0)
  })
})
