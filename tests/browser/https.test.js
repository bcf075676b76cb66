// Behind a proxy that ends TLS: the cookie is one that no other name and no plain connection ever gets.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Browser, open } from './support/browser.js';
import { PASSWORD, Server } from './support/server.js';
import { logIn } from './support/world.js';

let browser;
let certificate;
before(async () => {
  browser = await Browser.start();
  const folder = mkdtempSync(join(tmpdir(), 'airlock-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject], { stdio: 'pipe' });
  certificate = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
});
after(() => browser?.stop());

/** A proxy at an HTTPS address; `to` is set once the server is there. */
async function proxy(headers) {
  const it = { to: undefined };
  const server = createServer(certificate, (incoming, answer) => {
    const { method, url } = incoming;
    const { hostname, port } = new URL(it.to);
    const outgoing = request({ hostname, port, method, path: url, headers: { ...incoming.headers, ...headers } }, (got) => {
      answer.writeHead(got.statusCode, got.rawHeaders);
      got.pipe(answer);
    });
    outgoing.on('error', () => answer.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  it.url = `https://localhost:${server.address().port}`;
  it.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return it;
}

/** How the server learns that the browser talks HTTPS: from its proxy, or from its own settings. */
const WAYS = [
  ['the proxy says so', { 'x-forwarded-proto': 'https' }, () => []],
  ['the public URL says so', {}, (url) => ['--public-url', url]],
];

for (const [way, headers, args] of WAYS) {
  test(`over HTTPS the session’s cookie is Secure and this host’s own, as ${way}`, async () => {
    const front = await proxy(headers);
    const server = await Server.start(args(front.url));
    front.to = server.url;
    const context = await browser.person({ ignoreHTTPSErrors: true });
    try {
      const page = await open(context, front);
      await page.getByLabel('Password').fill(PASSWORD);
      await page.getByLabel('The same again').fill(PASSWORD);
      await page.getByRole('button', { name: 'Set password' }).click();
      await page.getByRole('heading', { name: 'Begin here' }).waitFor();
      const [cookie, ...more] = await context.cookies();
      assert.deepEqual(more, []);
      const { name, secure, httpOnly, sameSite, path, domain } = cookie;
      assert.deepEqual(
        { name, secure, httpOnly, sameSite, path, domain },
        { name: '__Host-airlock_session', secure: true, httpOnly: true, sameSite: 'Strict', path: '/', domain: 'localhost' },
      );

      // The session holds for a change and for a page loaded anew, and ends on both sides.
      await page.goto(`${front.url}/#/profiles`);
      await page.getByText('No profiles yet').waitFor();
      await page.keyboard.press('n');
      await page.getByLabel('What it is for').fill('Made over HTTPS');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Made over HTTPS' }).waitFor();
      await page.reload();
      await page.getByRole('heading', { name: 'Made over HTTPS' }).waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByRole('heading', { name: 'Log in to Airlock' }).waitFor();
      assert.deepEqual(await context.cookies(), []);
      await logIn(page);
      await page.getByRole('heading', { name: 'Made over HTTPS' }).waitFor();
      assert.deepEqual((await context.cookies()).map(({ name }) => name), ['__Host-airlock_session']);
      assert.deepEqual(page.faults, []);
    } finally {
      await context.close();
      front.close();
      await server.remove();
    }
  });
}
