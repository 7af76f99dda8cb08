import type { Milliseconds } from '../../model/instant.ts'
import type { Spread } from '../../model/simulation.ts'

/** How lengths are spread. A quantile is that of the nearest rank: always a length that was there, and at least so many are not longer. */
export function spreadOf(lengths: readonly Milliseconds[]): Spread {
  const ordered = [...lengths].sort((one, other) => one - other)
  const at = (percent: number) => ordered[Math.max(0, Math.ceil((ordered.length * percent) / 100) - 1)] ?? 0
  const sum = ordered.reduce((total, one) => total + one, 0)
  return {
    count: ordered.length,
    mean: ordered.length === 0 ? 0 : sum / ordered.length,
    p50: at(50),
    p90: at(90),
    p95: at(95),
    p99: at(99),
    max: at(100),
    quantiles: Array.from({ length: 101 }, (_, percent) => at(percent)),
  }
}
