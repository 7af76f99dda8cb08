import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

export interface RotatingFileOptions {
  readonly path: string
  /** The file is put aside as `<path>.1` before it would grow above this. */
  readonly maxBytes: number
  /** Files kept aside; older ones are removed. */
  readonly keep: number
}

export interface RotatingFile {
  /** Appends a line; a line is never split over two files. */
  write(line: string): void
  close(): void
}

/**
 * A log file (mode 0600) that takes at most (keep + 1) × maxBytes of disk. When the disk is full, lines are dropped: a log must not stop
 * what it tells of.
 */
export function createRotatingFile(options: RotatingFileOptions): RotatingFile {
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 })
  let file = openSync(options.path, 'a', 0o600)
  let size = fstatSync(file).size

  function rotate(): void {
    closeSync(file)
    rmSync(`${options.path}.${options.keep}`, { force: true })
    for (let i = options.keep - 1; i >= 0; i -= 1) moveAside(i === 0 ? options.path : `${options.path}.${i}`, `${options.path}.${i + 1}`)
    if (options.keep === 0) rmSync(options.path, { force: true })
    file = openSync(options.path, 'a', 0o600)
    size = 0
  }

  return {
    write(line) {
      const bytes = Buffer.from(line, 'utf8')
      if (size > 0 && size + bytes.length > options.maxBytes) rotate()
      try {
        size += writeSync(file, bytes)
      } catch {
        // No room, or the disk is gone: the line is lost, the program goes on.
      }
    },
    close: () => closeSync(file),
  }
}

function moveAside(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
