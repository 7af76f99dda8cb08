import { serveThread } from '../../threads.ts'
import { hashRange, packRange } from './range-work.ts'

serveThread({ hashRange, packRange })
