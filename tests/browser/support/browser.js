// Debian's Chromium, and pages in it that fail a test when they break a rule: an error on the console, a request to anywhere
// else, something left in the browser's storage.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };

export class Browser {
  static async start() {
    const folder = mkdtempSync(join(tmpdir(), 'airlock-chromium-'));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    return new Browser(folder, context);
  }

  constructor(folder, persistent) {
    this.folder = folder;
    this.persistent = persistent;
    this.chromium = persistent.browser();
  }

  /** A browser of somebody's own: its cookies are nobody else's. */
  async person(options = {}) {
    const context = await this.chromium.newContext({ viewport: WIDE, colorScheme: 'dark', reducedMotion: 'reduce', ...options });
    return context;
  }

  async stop() {
    await this.persistent.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A page at the server, watched. `faults` is what went wrong in it; tests that cause some take them off. */
export async function open(context, server, path = '/') {
  const page = await context.newPage();
  const faults = [];
  const origin = new URL(server.url).origin;
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
  });
  page.faults = faults;
  // For a machine with much else to do: nothing here takes a second where there is not.
  page.setDefaultTimeout(120_000);
  await page.goto(server.url + path);
  return page;
}
