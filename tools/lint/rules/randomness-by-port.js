import { globalObject, propertyName, valueImports } from '../scope.js'

const why =
  'a run must repeat exactly from its seed, and tests must not pay for password hashing. Take `Random`, `Ids` or the password port as an argument (src/ports)'

const drawing =
  /^(?:random.*|getRandomValues|generateKey.*|generatePrime.*|createDiffieHellman.*|createECDH|scrypt.*|argon2.*|pbkdf2.*|webcrypto|subtle)$/
const modules = new Set(['node:crypto', 'crypto'])

/** Randomness, ids and password hashing come from ports; hashing, HMAC and signatures over given bytes stay allowed. */
export const randomnessByPort = {
  meta: { type: 'problem' },
  create(context) {
    const wholeModules = new Set()
    const report = (node, what) => context.report({ node, message: `\`${what}\` cannot be repeated: ${why}.` })
    return {
      ImportDeclaration(node) {
        for (const { source, name, node: at } of valueImports(node)) {
          if (!modules.has(source)) continue
          if (name === '*' || name === 'default') wholeModules.add(at.local?.name)
          else if (drawing.test(name)) report(at, `crypto.${name}`)
        }
      },
      MemberExpression(node) {
        const object = globalObject(context, node)
        const name = propertyName(node)
        if (object === 'Math' && name === 'random') report(node, 'Math.random')
        if (object === 'crypto' && drawing.test(name ?? '')) report(node, `crypto.${name}`)
        if (node.object.type === 'Identifier' && wholeModules.has(node.object.name) && drawing.test(name ?? '')) {
          report(node, `crypto.${name}`)
        }
      },
    }
  },
}
