// Which folder may read which: the river of ARCHITECTURE.md, as rules. `npm run check` is also red when no module was read at all. The dashboard (TSX, which the
// transpiler here does not read) has its own rule in tools/lint.
const stages = ['model', 'decide', 'ports', 'drivers', 'observe', 'act', 'record', 'serve', 'loop', 'simulate', 'cli', 'main']

/** What each stage may import besides its own folder. `main` wires everything and has no rule. */
const upstream = {
  model: [],
  decide: ['model'],
  ports: ['model'],
  drivers: ['model', 'ports'],
  observe: ['model', 'ports'],
  act: ['model', 'ports'],
  record: ['model', 'ports'],
  serve: ['model', 'ports', 'record'],
  loop: ['model', 'decide', 'ports', 'observe', 'act', 'record', 'serve'],
  simulate: ['model', 'decide', 'ports', 'observe', 'act', 'record', 'serve', 'loop'],
  cli: ['model', 'ports', 'main'],
}

const reasons = {
  model: 'Nouns know nothing of what is done with them.',
  decide: 'Deciding is a pure function of (spec, world, now).',
  ports: 'A port says what we need from outside in words of the model.',
  drivers: 'A driver is an island: it can be added or dropped without touching anything else.',
  observe: 'Observing turns what ports say into the world; it decides nothing.',
  act: 'Acting carries out a plan; it decides nothing.',
  record: 'Recording keeps what happened; it neither decides nor acts.',
  serve: 'Serving looks at the record and never touches the outside.',
  loop: 'Loops get their drivers from main.',
  simulate: 'The simulation runs the same loops over simulated drivers.',
  cli: 'The command line talks to the public API like anyone else, and starts processes through main.',
}

const tests = '\\.test\\.tsx?$'

const layers = Object.entries(upstream).map(([stage, allowed]) => ({
  name: `${stage}-reads-only-upstream`,
  comment: `${reasons[stage]} It may import: ${[stage, ...allowed].join(', ')}.`,
  severity: 'error',
  from: { path: `^src/${stage}/`, pathNot: tests },
  to: { path: '^src/', pathNot: [stage, ...allowed].map((name) => `^src/${name}/`) },
}))

export default {
  forbidden: [
    ...layers,
    {
      name: 'drivers-are-islands',
      comment:
        'A driver never imports a sibling. What two kinds of one port share lies beside their folders: src/drivers/<port>/<subject>.ts.',
      severity: 'error',
      from: { path: '^src/drivers/([^/]+)/([^/]+)/', pathNot: tests },
      to: { path: '^src/drivers/', pathNot: ['^src/drivers/$1/$2/', '^src/drivers/$1/(?!registry)[^/]+\\.ts$'] },
    },
    {
      name: 'drivers-of-one-port',
      comment: 'What the drivers of one port share is no business of another port.',
      severity: 'error',
      from: { path: '^src/drivers/([^/]+)/[^/]+\\.ts$', pathNot: tests },
      to: { path: '^src/drivers/', pathNot: '^src/drivers/$1/' },
    },
    {
      name: 'only-main-wires-drivers',
      comment: 'Only src/main knows which driver stands behind a port.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(?:main|drivers)/', tests] },
      to: { path: '^src/drivers/' },
    },
    {
      name: 'every-stage-is-known',
      comment: `A folder of src is a stage of the river: ${stages.join(', ')}. A new stage needs a rule here.`,
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: stages.map((stage) => `^src/${stage}/`) },
    },
    {
      name: 'model-knows-only-zod',
      comment: 'The core runs anywhere: no Node module and no package but zod.',
      severity: 'error',
      from: { path: '^src/(?:model|decide)/', pathNot: tests },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg', 'core', 'npm-unknown'], pathNot: '(?:^|/)zod(?:/|$)' },
    },
    {
      name: 'product-never-imports-tests',
      comment: 'What ships does not know test code or tools.',
      severity: 'error',
      from: { path: '^(?:src|bin)/', pathNot: tests },
      to: { path: '^(?:test|tools|bench)/' },
    },
    {
      name: 'no-dev-deps-in-src',
      comment: 'A development dependency is not there where cidery is installed.',
      severity: 'error',
      from: { path: '^(?:src|bin)/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '/@types/' },
    },
    {
      name: 'no-circular',
      comment: 'In a cycle nobody can be read or tested first.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'The import leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(?:dist|coverage|reports|node_modules)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
}
