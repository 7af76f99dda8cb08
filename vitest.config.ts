import { defineConfig } from 'vitest/config'
import type { TestProjectConfiguration } from 'vitest/config'
import { suites } from './tools/suites.js'

interface Suite {
  readonly name: string
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly parallel?: boolean
  readonly testSeconds?: number
}

/** One vitest project per suite of tools/suites.js, so that `npx vitest run --project engine` runs what `npm test` runs. */
function project(suite: Suite): TestProjectConfiguration {
  const timeoutMs = (suite.testSeconds ?? 60) * 1000
  return {
    extends: true,
    test: {
      name: suite.name,
      include: [...(suite.include ?? [])],
      exclude: ['**/node_modules/**', '**/dist/**', '.stryker-tmp/**', ...(suite.exclude ?? [])],
      fileParallelism: suite.parallel === true,
      testTimeout: timeoutMs,
      hookTimeout: Math.max(timeoutMs, 60_000),
    },
  }
}

export default defineConfig({
  test: {
    environment: 'node',
    globals: false,
    // Two cores are the smallest machine this runs on; more workers only make timing tests wait for each other.
    maxWorkers: 2,
    projects: (suites as readonly Suite[]).filter((suite) => suite.include !== undefined).map(project),
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/**/*.test.ts', 'src/main/**'],
      reporter: ['text-summary', 'json-summary', 'lcovonly'],
      reportsDirectory: 'coverage',
    },
  },
})
