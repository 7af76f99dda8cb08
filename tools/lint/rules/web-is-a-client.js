import { join, normalize } from 'node:path'
import { relativePath } from '../scope.js'

/** The dashboard is a client of the public API; of the sources it shares only the words of the model. */
export const webIsAClient = {
  meta: { type: 'problem' },
  create(context) {
    return {
      ImportDeclaration(node) {
        const source = node.source.value
        if (!source.startsWith('.')) return
        const target = normalize(join(relativePath(context), '..', source)).replaceAll('\\', '/')
        if (!target.startsWith('src/') || target.startsWith('src/model/')) return
        const message = `The dashboard reaches into \`${target}\`: it talks to the public API like anyone else, so that what it can do every client can. Only src/model is shared.`
        context.report({ node, message })
      },
    }
  },
}
