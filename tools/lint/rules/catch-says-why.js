/** An error that is dropped needs a sentence that says why that is right. */
export const catchSaysWhy = {
  meta: { type: 'problem' },
  create(context) {
    const report = (node, what) => {
      const message = `${what} hides every failure, also those nobody thought of. Handle it, or say in a comment why it may be dropped.`
      context.report({ node, message })
    }
    const hasComment = (node) => context.sourceCode.getCommentsInside(node).length > 0
    return {
      CatchClause(node) {
        if (node.body.body.length === 0 && !hasComment(node.body)) report(node, 'An empty catch')
      },
      CallExpression(node) {
        const [handler] = node.arguments
        const isCatch = node.callee.type === 'MemberExpression' && node.callee.property.name === 'catch'
        if (!isCatch || handler === undefined || !/Function/.test(handler.type) || handler.body.type !== 'BlockStatement') return
        if (handler.body.body.length === 0 && !hasComment(handler.body)) report(handler, 'An empty `.catch`')
      },
    }
  },
}
