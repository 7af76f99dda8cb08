import { defineConfig } from 'vitest/config'

/** The tests beside the pure core, without the projects of vitest.config.ts: the mutation runner wants one plain project. */
export default defineConfig({
  test: { include: ['src/model/**/*.test.ts', 'src/decide/**/*.test.ts'], environment: 'node', testTimeout: 15_000 },
})
