import { CideryError } from '../../../../model/errors.ts'
import type { Pace } from './bandwidth.ts'
import type { Frame } from './chunk-work.ts'
import type { DiskIndex } from './disk-index.ts'
import { mostTries, type RemoteImage } from './load-image.ts'
import type { Copying } from './local-chunks.ts'
import { spansOf, type Batch, type Span } from './spans.ts'

/** Requests at once: more only wait for each other. */
const atOnce = 4

export interface Fetching extends Copying {
  readonly source: RemoteImage
  readonly pace: Pace
  readonly received: (bytes: number) => void
}

/** Brings chunks from the registry into their places. What is not what its digest says is fetched again; DIGEST_MISMATCH names pack and offset after some tries. */
export async function fetchChunks(fetching: Fetching, missing: readonly number[]): Promise<void> {
  let left = missing
  for (let tries = 1; left.length > 0; tries += 1) {
    const wrong = await fetchOnce(fetching, left)
    if (wrong.length > 0 && tries >= mostTries) throw mismatch(fetching.index, wrong)
    left = wrong
  }
}

function mismatch({ chunks, packs }: DiskIndex, wrong: readonly number[]): CideryError {
  const [first = 0] = wrong
  const { digest = '', offset = 0, length = 0, pack = 0 } = chunks[first] ?? {}
  const more = wrong.length > 1 ? `; ${wrong.length - 1} more chunks are wrong` : ''
  return new CideryError(
    'DIGEST_MISMATCH',
    `bytes ${offset} to ${offset + length} of the pack ${packs[pack]?.digest ?? ''} are not the chunk ${digest}, in ${mostTries} tries${more}`,
    {
      hint: 'look at the registry, and at proxies and caches on the way to it; push the image again when the registry itself has wrong bytes',
      details: { pack: packs[pack]?.digest, offset, length, wrong: wrong.length },
    },
  )
}

/** One try; gives the numbers of the chunks that came wrong or not at all. */
async function fetchOnce(fetching: Fetching, missing: readonly number[]): Promise<readonly number[]> {
  const waiting = [...spansOf(fetching.index, missing)]
  const wrong: number[] = []
  const stop = new AbortController()
  const signal = AbortSignal.any([fetching.signal, stop.signal])
  async function stream(): Promise<void> {
    for (let span = waiting.shift(); span !== undefined; span = waiting.shift()) {
      signal.throwIfAborted()
      wrong.push(...(await new SpanStream(fetching, span, signal).run()))
    }
  }
  const streams = Array.from({ length: Math.min(atOnce, waiting.length) }, async () => {
    try {
      await stream()
    } catch (error) {
      // The first failure is the reason of the others.
      stop.abort(error)
      throw error
    }
  })
  const ended = await Promise.allSettled(streams)
  const failed = ended.some(({ status }) => status === 'rejected')
  if (failed) throw fetching.signal.aborted ? fetching.signal.reason : stop.signal.reason
  return wrong
}

class SpanStream {
  readonly #fetching: Fetching
  readonly #span: Span
  readonly #signal: AbortSignal
  readonly #wrong: number[] = []

  constructor(fetching: Fetching, span: Span, signal: AbortSignal) {
    this.#fetching = fetching
    this.#span = span
    this.#signal = signal
  }

  async run(): Promise<readonly number[]> {
    const { source, index, pace, received } = this.#fetching
    const { pack, from, to, batches } = this.#span
    const signal = this.#signal
    const gathering = batches.map((batch) => new Gathering(batch))
    const placing: Promise<void>[] = []
    let at = from
    try {
      for await (const piece of source.registry.readBlob(source.where, index.packs[pack]?.digest ?? '', { range: { from, to }, signal })) {
        received(piece.length)
        await pace(piece.length, signal)
        for (const one of gathering) one.take(piece, at)
        at += piece.length
        while (gathering[0]?.isWhole === true) placing.push(this.#place(gathering.shift()))
        // What was read is not far ahead of what was written.
        while (placing.length > 2) await placing.shift()
      }
    } finally {
      await Promise.allSettled(placing)
    }
    await Promise.all(placing)
    // A stream that ended too early: what it did not bring is as wrong as other bytes.
    for (const { batch } of gathering) this.#wrong.push(...batch.frames.map(({ chunk }) => chunk))
    return this.#wrong
  }

  async #place(gathered: Gathering | undefined): Promise<void> {
    if (gathered === undefined) return
    const { batch, bytes } = gathered
    const { index, places, rawLengths, threads, done } = this.#fetching
    const frames: readonly Frame[] = batch.frames.map(({ chunk, offset, length }) => ({
      from: offset - batch.from,
      length,
      rawLength: rawLengths[chunk] ?? 0,
      digest: index.chunks[chunk]?.digest ?? '',
      to: places[chunk] ?? [],
    }))
    const { wrong } = await threads.run('place', { bytes, frames }, [bytes.buffer as ArrayBuffer])
    batch.frames.forEach(({ chunk }, number) => {
      if (wrong.includes(number)) this.#wrong.push(chunk)
      else done(chunk)
    })
  }
}

/** Bytes of a batch while they come. */
class Gathering {
  readonly batch: Batch
  readonly bytes: Uint8Array
  #next = 0

  constructor(batch: Batch) {
    this.batch = batch
    this.bytes = new Uint8Array(batch.to - batch.from)
  }

  get isWhole(): boolean {
    return this.#next === this.batch.to - this.batch.from
  }

  /** Takes out of a piece, which begins at `at` of the pack, what belongs to the batch. */
  take(piece: Uint8Array, at: number): void {
    const from = Math.max(this.batch.from, at)
    const to = Math.min(this.batch.to, at + piece.length)
    if (from >= to) return
    this.bytes.set(piece.subarray(from - at, to - at), from - this.batch.from)
    this.#next += to - from
  }
}
