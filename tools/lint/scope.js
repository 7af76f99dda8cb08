/** Tells whether an identifier is the global of that name, and not a variable, parameter or import that shares it. */
export function isGlobal(context, identifier) {
  for (let scope = context.sourceCode.getScope(identifier); scope; scope = scope.upper) {
    const variable = scope.set.get(identifier.name)
    if (variable !== undefined && variable.defs.length > 0) return false
  }
  return true
}

/** Tells whether an identifier stands where a value is read: not a property name, key, label or declaration. */
export function isRead(identifier) {
  const parent = identifier.parent
  if (parent === null || parent === undefined) return false
  if (parent.type === 'MemberExpression') return parent.object === identifier || parent.computed
  if (parent.type === 'Property' && parent.key === identifier && !parent.computed) return parent.shorthand
  if (parent.type.startsWith('TS') && !valueWrappers.has(parent.type)) return false
  return !namingParents.has(parent.type)
}

const valueWrappers = new Set(['TSAsExpression', 'TSSatisfiesExpression', 'TSNonNullExpression', 'TSInstantiationExpression'])

const namingParents = new Set([
  'ImportSpecifier',
  'ImportDefaultSpecifier',
  'ImportNamespaceSpecifier',
  'ExportSpecifier',
  'LabeledStatement',
  'BreakStatement',
  'ContinueStatement',
  'MethodDefinition',
  'PropertyDefinition',
])

/** The name of a property that is written out (`a.b`, `a['b']`), else undefined. */
export function propertyName(member) {
  if (!member.computed) return member.property.name
  return member.property.type === 'Literal' ? String(member.property.value) : undefined
}

/** The object of a member expression when it is a plain global, else undefined: `Math` of `Math.random`. */
export function globalObject(context, member) {
  return member.object.type === 'Identifier' && isGlobal(context, member.object) ? member.object.name : undefined
}

/** The path of the file below the checkout with forward slashes, so that rules can look at folders. */
export function relativePath(context) {
  const file = context.filename.replaceAll('\\', '/')
  const root = (context.cwd ?? process.cwd()).replaceAll('\\', '/')
  return file.startsWith(`${root}/`) ? file.slice(root.length + 1) : file
}

/** The imports of a module that exist at run time, as `{ source, name, node }`; `name` is `*` for a whole module. */
export function valueImports(declaration) {
  if (declaration.importKind === 'type') return []
  const source = declaration.source.value
  if (declaration.specifiers.length === 0) return [{ source, name: '*', node: declaration }]
  return declaration.specifiers
    .filter((specifier) => specifier.importKind !== 'type')
    .map((specifier) => ({
      source,
      name: specifier.type === 'ImportSpecifier' ? (specifier.imported.name ?? specifier.imported.value) : '*',
      node: specifier,
    }))
}
