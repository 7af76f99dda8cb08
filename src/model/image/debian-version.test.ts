import { describe, expect, it } from 'vitest'
import { compareDebianVersions } from './debian-version.ts'

/** Each older than the next; the order is that of `dpkg --compare-versions`. */
const ascending = [
  '0~',
  '0',
  '1.0~rc1-1',
  '1.0~rc2-1',
  '1.0-1~bpo12+1',
  '1.0-1',
  '1.0-1+b1',
  '1.0-1.1',
  '1.0a-1',
  '1.0+dfsg-1',
  '1.2-1',
  '1.6-2.1+deb12u2',
  '1.6-2.1+deb12u3',
  '1.6-2.1+deb12u10',
  '1.10-1',
  '12.2.0-14',
  '4:12.2.0-3',
]

describe('versions of Debian packages', () => {
  it('are compared as dpkg does', () => {
    for (const [index, one] of ascending.entries()) {
      for (const [place, other] of ascending.entries()) {
        expect([one, other, Math.sign(compareDebianVersions(one, other))]).toEqual([one, other, Math.sign(index - place)])
      }
    }
  })

  it('are the same with leading zeros', () => {
    expect(compareDebianVersions('1.01-1', '1.1-1')).toBe(0)
  })
})
