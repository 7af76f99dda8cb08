import { serveThread } from '../../threads.ts'
import { check, compress, copy, place, scan } from './chunk-work.ts'
import { hashFile } from './hash-file.ts'

serveThread({ check, compress, copy, hashFile, place, scan })
