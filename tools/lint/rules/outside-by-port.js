import { globalObject, isGlobal, isRead, propertyName, valueImports } from '../scope.js'

const why =
  'what lies outside the process is reached only by drivers, so that every other stage runs in a test without a network, a process or an environment. Take a port as an argument (src/ports) and let src/main bring its driver'

const globals = new Set(['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'])
const modules = new Set(['child_process', 'cluster', 'dgram', 'dns', 'dns/promises', 'http', 'http2', 'https', 'net', 'tls'])
/** Names that compute on given values and open nothing. */
const pureNames = new Set(['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress', 'STATUS_CODES', 'METHODS'])

/** Network, processes and the environment are reached through ports. */
export const outsideByPort = {
  meta: { type: 'problem' },
  create(context) {
    const report = (node, what) => context.report({ node, message: `\`${what}\` touches the outside: ${why}.` })
    return {
      Identifier(node) {
        if (globals.has(node.name) && isRead(node) && isGlobal(context, node)) report(node, node.name)
      },
      MemberExpression(node) {
        const object = globalObject(context, node)
        const name = propertyName(node)
        if (object === 'process' && name === 'env') report(node, 'process.env')
        if (object === 'globalThis' && globals.has(name)) report(node, `globalThis.${name}`)
      },
      ImportDeclaration(node) {
        for (const { source, name, node: at } of valueImports(node)) {
          const bare = source.replace(/^node:/, '')
          if (modules.has(bare) && !pureNames.has(name)) report(at, source)
          if (bare === 'process' && (name === 'env' || name === 'default' || name === '*')) report(at, 'process.env')
        }
      },
    }
  },
}
