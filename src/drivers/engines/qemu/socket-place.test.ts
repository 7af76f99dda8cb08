import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { prepareSocketPlace, socketPlace, socketProblem } from './socket-place.ts'

const short = '/var/lib/cidery-agent/engines/qemu/vms'
const long = `/home/build/${'workspace-of-a-long-name/'.repeat(4)}vms`

describe('the place of the sockets of machines', () => {
  let parent: string
  let names: string
  let vms: string

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'cidery-sockets-'))
    names = join(parent, 'names')
    vms = join(parent, 'a-directory-of-machines'.repeat(5))
  })
  afterEach(() => rmSync(parent, { recursive: true, force: true }))

  it('is their own directory as long as the kernel takes paths below it', () => {
    expect(socketPlace(short, '/run/cidery-vms')).toBe(short)
    expect(socketPlace(long, '/run/cidery-vms')).toMatch(/^\/run\/cidery-vms\/[0-9a-f]{16}$/)
    expect(socketPlace(`${long}2`, '/run/cidery-vms')).not.toBe(socketPlace(long, '/run/cidery-vms'))
  })

  it('is a problem only where there is no short name', () => {
    expect(socketProblem(long, '/run/cidery-vms')).toBeNull()
    expect(socketProblem(short, null)).toBeNull()
    expect(socketProblem(long, null)).toMatch(/^the path .* is \d+ characters too long for sockets below it: use a shorter state directory/)
  })

  it('is a link to the directory, made again when it is lost or leads elsewhere', () => {
    prepareSocketPlace(vms, names)
    expect(readlinkSync(socketPlace(vms, names))).toBe(vms)
    rmSync(socketPlace(vms, names))
    symlinkSync('/etc', socketPlace(vms, names))
    prepareSocketPlace(vms, names)
    expect(readlinkSync(socketPlace(vms, names))).toBe(vms)
    expect(readdirSync(names)).toHaveLength(1)
  })

  it('takes links away whose directories are gone, and no others', () => {
    prepareSocketPlace(vms, names)
    prepareSocketPlace(`${vms}-other`, names)
    rmSync(vms, { recursive: true })
    prepareSocketPlace(`${vms}-other`, names)
    expect(readdirSync(names).map((name) => readlinkSync(join(names, name)))).toEqual([`${vms}-other`])
  })

  it('is refused where others could put links of theirs', () => {
    mkdirSync(names, { mode: 0o777 })
    chmodSync(names, 0o777)
    expect(() => prepareSocketPlace(vms, names)).toThrow(/must be a directory that only UID \d+ writes to/)
    expect(existsSync(socketPlace(vms, names))).toBe(false)
  })
})
