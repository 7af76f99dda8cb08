import { restartHost } from './host.ts'

restartHost()
