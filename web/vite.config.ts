import { defineConfig } from 'vite'

/** The dashboard is served by the controller, next to its API: no other origin, no inline script (the content policy forbids both). */
export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false }, target: 'es2023' },
  oxc: { jsx: { runtime: 'automatic' } },
  server: { proxy: { '/api': { target: 'http://127.0.0.1:7700', ws: true } } },
})
