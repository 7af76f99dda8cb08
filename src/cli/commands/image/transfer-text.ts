import type { Transferred } from '../../../ports/images.ts'
import { sizeText } from '../../render/time.ts'

/** `pulling: 1.2 GiB of 4.0 GiB (30 %), 310 MiB over the network`. */
export function transferText(verb: string, { done, total, network }: Transferred): string {
  const of = total === null ? '' : ` of ${sizeText(total)} (${total === 0 ? 100 : Math.floor((done / total) * 100)} %)`
  return `${verb}: ${sizeText(done)}${of}, ${sizeText(network)} over the network`
}
