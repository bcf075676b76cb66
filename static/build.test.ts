// @vitest-environment node
// The production build, as `npm run build` leaves it: small, and with nothing in it that the server's policy refuses.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

const DIST = new URL('./dist/', import.meta.url);
/** Bytes of everything that the first load takes, compressed. */
const MOST = 150_000;

describe('the build', () => {
  const page = readFileSync(new URL('index.html', DIST), 'utf8');
  const assets = readdirSync(new URL('assets/', DIST)).filter((name) => !/\.(br|gz)$/.test(name));

  it('is at most 150 kB, compressed, all of it', () => {
    const files = ['index.html', ...assets.map((name) => `assets/${name}`)];
    const size = files.map((name) => readFileSync(new URL(`${name}.gz`, DIST)).length).reduce((sum, one) => sum + one, 0);
    expect(size).toBeGreaterThan(10_000);
    expect(size).toBeLessThan(MOST);
  });

  it('has every file compressed, and the same when it is not', () => {
    for (const name of assets) {
      const plain = readFileSync(new URL(`assets/${name}`, DIST));
      expect(readFileSync(new URL(`assets/${name}.gz`, DIST)).equals(gzipSync(plain, { level: 9 }))).toBe(true);
      expect(existsSync(new URL(`assets/${name}.br`, DIST))).toBe(true);
    }
  });

  it('names nothing but its own files, by a hash of what is in them', () => {
    const named = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url ?? '');
    expect(named.length).toBeGreaterThanOrEqual(3);
    for (const url of named) expect(url).toMatch(/^\.\/assets\/[\w-]+-[\w-]{8}\.(js|css|svg)$/);
    expect(new Set(named.map((url) => url.replace('./assets/', '')))).toEqual(new Set(assets));
  });

  it('has nothing inline', () => {
    expect(page).not.toMatch(/<style|\sstyle=|<script>|\son\w+=/);
    const styles = assets.filter((name) => name.endsWith('.css')).map((name) => readFileSync(new URL(`assets/${name}`, DIST), 'utf8'));
    expect(styles.join('')).not.toMatch(/url\(|@import/);
  });
});
