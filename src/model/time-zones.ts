import { CideryError } from './errors.ts'
import { minute } from './instant.ts'
import { utc } from './schedule.ts'
import type { OffsetAt } from './schedule.ts'

/**
 * The clocks of a zone, as the time zone data of this Node has them. INVALID_INPUT for a zone that it does not know.
 *
 * @example zoneOffset('Asia/Kolkata')(0) // 19_800_000
 */
export function zoneOffset(zone: string): OffsetAt {
  if (zone === 'UTC') return utc
  const format = formatOf(zone)
  return (at) => {
    const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? ''
    const [, sign, hours = '0', minutes = '0', seconds = '0'] = /^GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(name) ?? []
    const ms = (Number(hours) * 60 + Number(minutes)) * minute + Number(seconds) * 1000
    return sign === '-' ? -ms : ms
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  } catch (cause) {
    throw new CideryError('INVALID_INPUT', `there is no time zone ${JSON.stringify(zone)}`, {
      hint: 'a name such as UTC or Europe/Berlin',
      cause,
    })
  }
}
