/// <reference types="vitest/config" />
// Builds the web UI into `dist/`, which `build.rs` embeds in the binary. Everything a page needs is in one script and one
// style sheet: a page that is open while the server is replaced never asks for a part that is gone.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** Writes `.br` and `.gz` beside each file, once at build time: the server only picks one. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync('dist', { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
      // The folder is in the repository, what is in it is not: cargo watches it, and a folder that is missing would
      // make it build anew every time.
      writeFileSync('dist/.gitignore', '*\n!.gitignore\n');
    },
  };
}

export default defineConfig(({ mode }) => ({
  // Relative, so that the page works under whatever path the public URL has.
  base: './',
  plugins: [svelte(), precompress()],
  // Under test, Svelte's browser half is what is wanted.
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    // How long plugins take says nothing about what they made.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { '^/(api|executions|health|ready|skill.md)': 'http://127.0.0.1:9090' } },
  // The time-out is for a machine with much else to do: none of these waits for a clock.
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts', 'build.test.ts'], testTimeout: 60_000 },
}));
