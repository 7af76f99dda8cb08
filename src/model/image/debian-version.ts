/**
 * Which of two versions of Debian packages is the newer: negative when `one` is the older. As dpkg compares them: epoch, upstream version, revision, each in turns of text and
 * numbers, where `~` comes before everything, the end included (https://www.debian.org/doc/debian-policy/ch-controlfields.html#version).
 *
 * @example compareDebianVersions('1.6-2.1+deb12u2', '1.6-2.1+deb12u3') // below 0
 */
export function compareDebianVersions(one: string, other: string): number {
  const [a, b] = [partsOf(one), partsOf(other)]
  return a.epoch - b.epoch || compareParts(a.upstream, b.upstream) || compareParts(a.revision, b.revision)
}

interface Parts {
  readonly epoch: number
  readonly upstream: string
  readonly revision: string
}

function partsOf(version: string): Parts {
  const colon = version.indexOf(':')
  const rest = version.slice(colon + 1)
  const dash = rest.lastIndexOf('-')
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  }
}

/** Order of a sign: `~` before the end, the end before letters, letters before all others. */
function orderOf(sign: string | undefined): number {
  if (sign === '~') return -1
  if (sign === undefined) return 0
  return /[A-Za-z]/.test(sign) ? sign.charCodeAt(0) : sign.charCodeAt(0) + 256
}

function compareText(one: string, other: string): number {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const difference = orderOf(one[index]) - orderOf(other[index])
    if (difference !== 0) return difference
  }
  return 0
}

function compareParts(one: string, other: string): number {
  let [a, b] = [one, other]
  while (a !== '' || b !== '') {
    const [textA, textB] = [textOf(a), textOf(b)]
    ;[a, b] = [a.slice(textA.length), b.slice(textB.length)]
    const [numberA, numberB] = [numberOf(a), numberOf(b)]
    ;[a, b] = [a.slice(numberA.length), b.slice(numberB.length)]
    const difference = compareText(textA, textB) || compareNumbers(numberA, numberB)
    if (difference !== 0) return difference
  }
  return 0
}

const textOf = (text: string): string => /^\D*/.exec(text)?.[0] ?? ''
const numberOf = (text: string): string => /^\d*/.exec(text)?.[0] ?? ''

/** Of any length; nothing is 0. */
function compareNumbers(one: string, other: string): number {
  const [a, b] = [one.replace(/^0+/, ''), other.replace(/^0+/, '')]
  if (a.length !== b.length) return a.length - b.length
  return a === b ? 0 : a < b ? -1 : 1
}
