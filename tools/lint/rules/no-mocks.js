import { propertyName } from '../scope.js'

const banned = new Set(['mock', 'doMock', 'mockObject', 'importMock'])

/** Our own code is never replaced in a test. */
export const noMocks = {
  meta: { type: 'problem' },
  create(context) {
    return {
      CallExpression(node) {
        const { callee } = node
        if (callee.type !== 'MemberExpression' || callee.object.type !== 'Identifier') return
        const name = propertyName(callee)
        if ((callee.object.name !== 'vi' && callee.object.name !== 'vitest') || !banned.has(name)) return
        const message = `\`${callee.object.name}.${name}\` swaps a module behind its caller's back: the test then passes while the real parts do not fit. Write a fake behind the port (test/doubles) and pass it in.`
        context.report({ node, message })
      },
    }
  },
}
