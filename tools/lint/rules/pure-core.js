import { isGlobal, isRead, valueImports } from '../scope.js'

const why =
  'deciding is a function of (spec, world, now), so that `explain`, `plan` and the simulation run the very same code. Pass in what it needs and return what should happen as data'

const globals = new Set([
  'process',
  'console',
  'Buffer',
  'globalThis',
  'global',
  'navigator',
  'require',
  'queueMicrotask',
  'AbortController',
])

/** `src/model` and `src/decide` import only each other and zod, keep no state and do no I/O. */
export const pureCore = {
  meta: { type: 'problem' },
  create(context) {
    const report = (node, what) => context.report({ node, message: `${what} in the pure core: ${why}.` })
    return {
      Identifier(node) {
        if (globals.has(node.name) && isRead(node) && isGlobal(context, node)) report(node, `\`${node.name}\``)
      },
      ImportDeclaration(node) {
        const source = node.source.value
        if (source === 'zod' || source.startsWith('.')) return
        for (const { node: at } of valueImports(node)) report(at, `An import of \`${source}\``)
      },
      ImportExpression(node) {
        report(node, 'A dynamic import')
      },
      AwaitExpression(node) {
        report(node, '`await`')
      },
      Program(node) {
        for (const statement of node.body) {
          const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
          if (declaration?.type === 'VariableDeclaration' && declaration.kind !== 'const')
            report(declaration, 'A variable that outlives its call')
        }
      },
    }
  },
}
