// One server and one browser for the tests of a file.
import { after, afterEach, before } from 'node:test';
import assert from 'node:assert/strict';
import { Browser, open } from './browser.js';
import { Admin } from './people.js';
import { PASSWORD, Server } from './server.js';

/** `setUp`: the password is set already; `prepare` makes what the tests find. */
export function world({ setUp = true, prepare = async () => undefined } = {}) {
  const it = { server: undefined, browser: undefined, admin: undefined, pages: [] };
  before(async () => {
    [it.server, it.browser] = await Promise.all([Server.start(), Browser.start()]);
    if (setUp) it.admin = await Admin.of(it.server);
    await prepare(it);
  });
  afterEach(async () => {
    const pages = it.pages.splice(0);
    const faults = pages.flatMap((page) => page.faults);
    for (const page of pages) await page.context().close();
    assert.deepEqual(faults, [], 'the page broke a rule');
  });
  after(async () => {
    await it.browser?.stop();
    await it.server?.remove();
  });

  /** A page of a browser of its own, without a session. */
  it.visit = async (path = '/', options = {}) => {
    const page = await open(await it.browser.person(options), it.server, path);
    it.pages.push(page);
    return page;
  };
  /** A page of a browser that is signed in, with its frame there; `hash` is the page, such as `profiles/ark_…`. */
  it.at = async (hash, options = {}) => {
    const context = await it.browser.person(options);
    const admin = options.own ? await Admin.of(it.server) : it.admin;
    await admin.lend(context);
    const page = await open(context, it.server, `/#/${hash}`);
    it.pages.push(page);
    await page.locator('main h1').first().waitFor();
    return page;
  };
  return it;
}

/** Does something that a notice tells of. A notice leaves by itself, so it is waited for from before on. */
export async function noticed(page, text, act) {
  const notice = page.locator('.notices').getByText(text);
  await Promise.all([notice.waitFor(), act()]);
}

/** Goes to a page by its keys, as often as it takes: a second key that comes too late is none. */
export async function goBy(page, key, heading) {
  const there = page.getByRole('heading', { name: heading, exact: true, level: 1 });
  for (let tries = 0; tries < 20; tries += 1) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    const came = await there.waitFor({ timeout: 3000 }).then(() => true, () => false);
    if (came) return;
  }
  assert.fail(`g ${key} does not lead to ${heading}`);
}

/** Presses Escape until `dialog` is gone. */
export async function escape(page, dialog = page.getByRole('dialog')) {
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
}

export async function logIn(page, password = PASSWORD) {
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** Takes what a test caused on purpose off what is held against the page. */
export function forgive(page, pattern) {
  const left = page.faults.filter((fault) => !pattern.test(fault));
  assert.ok(left.length < page.faults.length, `nothing like ${pattern} happened`);
  page.faults.splice(0, Infinity, ...left);
}
