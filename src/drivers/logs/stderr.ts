import { writeSync } from 'node:fs'

/** Writes a line to standard error at once; a reader that went away or is slow does not stop the program. */
export function writeToStderr(line: string): void {
  const bytes = Buffer.from(line, 'utf8')
  let done = 0
  for (let tries = 0; done < bytes.length && tries < 100; tries += 1) {
    try {
      done += writeSync(2, bytes, done)
    } catch (error) {
      // EAGAIN: the pipe is full for a moment. Anything else (EPIPE): nobody reads any more.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
    }
  }
}
