import { globalObject, isGlobal, isRead, propertyName, valueImports } from '../scope.js'

const why =
  'the loops must run in virtual time, where a test moves the clock and a whole day takes a second. Take `Clock` or `Timers` as an argument (src/ports) and let src/main bring the real one'

const globals = new Set(['performance', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'])
const members = new Map([
  ['AbortSignal', new Set(['timeout'])],
  ['Temporal', new Set(['Now'])],
  ['process', new Set(['hrtime', 'uptime'])],
])
const modules = new Set(['node:timers', 'node:timers/promises', 'timers', 'timers/promises', 'node:perf_hooks', 'perf_hooks'])
/** Turning a given instant into text or back reads no clock. */
const pureDateMembers = new Set(['UTC', 'parse'])

function readsClock(identifier) {
  const { parent } = identifier
  if (parent.type === 'NewExpression' && parent.callee === identifier) return parent.arguments.length === 0
  if (parent.type === 'BinaryExpression' && parent.operator === 'instanceof') return false
  if (parent.type === 'MemberExpression' && parent.object === identifier) return !pureDateMembers.has(propertyName(parent))
  return true
}

/** Time comes from a port. `new Date(ms)` stays allowed: it converts a given instant. */
export const clockByPort = {
  meta: { type: 'problem' },
  create(context) {
    const report = (node, what) => context.report({ node, message: `\`${what}\` reads the real time: ${why}.` })
    return {
      Identifier(node) {
        if (!isRead(node)) return
        const suspect = globals.has(node.name) || (node.name === 'Date' && readsClock(node))
        if (suspect && isGlobal(context, node)) report(node, node.name)
      },
      MemberExpression(node) {
        const object = globalObject(context, node)
        const name = propertyName(node)
        if (members.get(object)?.has(name)) report(node, `${object}.${name}`)
        if (object === 'globalThis' && (globals.has(name) || name === 'Date')) report(node, `globalThis.${name}`)
      },
      ImportDeclaration(node) {
        for (const { source, node: at } of valueImports(node)) if (modules.has(source)) report(at, source)
      },
    }
  },
}
