import { catchSaysWhy } from './rules/catch-says-why.js'
import { clockByPort } from './rules/clock-by-port.js'
import { fileNames } from './rules/file-names.js'
import { noMocks } from './rules/no-mocks.js'
import { outsideByPort } from './rules/outside-by-port.js'
import { pureCore } from './rules/pure-core.js'
import { randomnessByPort } from './rules/randomness-by-port.js'
import { webIsAClient } from './rules/web-is-a-client.js'

/** The house rules: what the linter's own rules cannot say. Each message gives its reason. */
export default {
  meta: { name: 'house' },
  rules: {
    'catch-says-why': catchSaysWhy,
    'clock-by-port': clockByPort,
    'file-names': fileNames,
    'no-mocks': noMocks,
    'outside-by-port': outsideByPort,
    'pure-core': pureCore,
    'randomness-by-port': randomnessByPort,
    'web-is-a-client': webIsAClient,
  },
}
