import { relativePath } from '../scope.js'

const drawers = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'misc', 'shared', 'lib', 'stuff'])
const kebab = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*$/

/** Files and folders are named after their subject, in kebab-case. */
export const fileNames = {
  meta: { type: 'suggestion' },
  create(context) {
    return {
      Program(node) {
        const names = relativePath(context).split('/')
        for (const name of names) {
          const stem = name.replace(/^\./, '').replace(/\.[^.]+$/, '')
          if (drawers.has(stem.replace(/\.(?:test|config|d)$/, ''))) {
            const message = `"${stem}" is a drawer, not a subject: nobody finds a function by it and everything ends up in it. Name the file after what it is about.`
            context.report({ node, message })
          } else if (!kebab.test(stem)) {
            const message = `"${name}" is not kebab-case: names that differ only in case break on the disks of macOS, and one form is easier to guess.`
            context.report({ node, message })
          }
        }
      },
    }
  },
}
