// Much of everything, on every size of screen, by keyboard alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits } from './support/axe.js';
import { NARROW } from './support/browser.js';
import { askFor } from './support/people.js';
import { escape, forgive, goBy, world } from './support/world.js';

/** As many credentials as there may be: agents may ask for nine tenths of them, a person adds the rest. */
const ASKED = 9000;
const ADDED = 1000;
const RUNS = 260;
const range = (from, length) => Array.from({ length }, (_, index) => from + index);
const slot = (index) => `SLOT_${String(index).padStart(5, '0')}`;
let agent;

const it = world({
  async prepare({ server, admin }) {
    for (let from = 0; from < ASKED; from += 100) {
      await askFor(server, ...range(from, 100).map((index) => ({ name: slot(index) })));
    }
    for (let from = ASKED; from < ASKED + ADDED; from += 50) {
      await Promise.all(range(from, 50).map((index) => admin.call('POST', '/credentials', { name: slot(index) })));
    }
    await assert.rejects(admin.call('POST', '/credentials', { name: 'ONE_MORE' }), /10000|10,000/);
    agent = await admin.agent('Runs a lot', []);
    for (let from = 0; from < RUNS; from += 20) {
      await Promise.all(range(from, 20).map((index) => agent.run(`set_result(${index})`)));
    }
  },
});

/** Waits until the table has so many rows, its head among them; `scroll` goes to its end before each look. */
function rowcount(page, rows, scroll = false) {
  return page.waitForFunction(
    ([wanted, scroll]) => {
      if (scroll) scrollTo(0, document.documentElement.scrollHeight);
      return document.querySelector('[role="table"]')?.getAttribute('aria-rowcount') === wanted;
    },
    [String(rows), scroll],
  );
}

test('ten thousand credentials scroll and filter, with few of them in the page', async () => {
  const page = await it.at('credentials');
  await page.getByRole('button', { name: 'SLOT_00000' }).waitFor();
  const table = page.getByRole('table', { name: 'Credentials' });
  assert.equal(await table.getAttribute('aria-rowcount'), String(ASKED + ADDED + 1));
  assert.ok((await table.getByRole('row').count()) < 150);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.getByRole('button', { name: slot(ASKED + ADDED - 1) }).waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.keyboard.press('/');
  await page.keyboard.type('slot_0451');
  await page.getByRole('button', { name: 'SLOT_04510' }).waitFor();
  await rowcount(page, 11);
});

test('executions load as one scrolls, and new ones come in on top', async () => {
  const page = await it.at('executions');
  await page.getByText('100 executions loaded').waitFor();
  // Whoever scrolls goes on until the end is there: how many pages come between two looks is not theirs to know.
  await rowcount(page, RUNS + 1, true);
  await page.getByText(`${RUNS} executions`, { exact: true }).waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  const failed = await agent.run('raise ValueError("the newest")');
  await page.locator(`[title="${failed.execution_id}"]`).waitFor();
  await rowcount(page, RUNS + 2);
  await page.getByLabel('Status').selectOption('error');
  await rowcount(page, 2);
  await page.getByLabel('Time').selectOption('1h');
  await page.getByLabel('Profile', { exact: true }).selectOption(agent.id);
  await page.locator(`[title="${failed.execution_id}"]`).waitFor();
});

test('an older page that could not be loaded is asked for again, without another scroll', async () => {
  const page = await it.at('executions');
  await page.getByText('100 executions loaded').waitFor();
  const older = /\/executions\?.*cursor=/;
  await page.route(older, (route) => route.fulfill({ status: 503, json: { title: 'Not now' } }));
  const refused = page.waitForResponse((response) => older.test(response.url()) && response.status() === 503);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await refused;
  await page.unroute(older);
  await page.getByText('200 executions loaded').waitFor();
  forgive(page, /503/);
});

test('lists and pages are reached by keys', async () => {
  const page = await it.at('executions');
  await page.locator('.go').first().waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const second = await page.evaluate(() => document.activeElement?.getAttribute('title'));
  assert.equal(second, await page.locator('.go').nth(1).getAttribute('title'));
  await page.keyboard.press('k');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Timeline' }).waitFor();
  for (const [key, heading] of Object.entries({ o: 'Overview', c: 'Credentials', p: 'Profiles', e: 'Executions', s: 'Settings' })) {
    await goBy(page, key, heading);
  }
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  await assertAccessible(page, 'the keys');
  await escape(page);
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill('runs a lot');
  await page.getByRole('option', { name: /Runs a lot/ }).waitFor();
  await assertAccessible(page, 'the palette');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Runs a lot' }).waitFor();
});

for (const colorScheme of ['dark', 'light']) {
  for (const [size, viewport] of [['wide', { width: 1280, height: 800 }], ['narrow', NARROW]]) {
    test(`every page is accessible and fits, ${colorScheme} and ${size}`, async () => {
      const page = await it.at('overview', { colorScheme, viewport });
      const { executions } = await it.admin.call('GET', '/executions?limit=1');
      const places = {
        overview: 'Overview',
        executions: 'Executions',
        [`executions/${executions[0].execution_id}`]: 'Execution ',
        profiles: 'Profiles',
        [`profiles/${agent.id}`]: 'Runs a lot',
        credentials: 'Credentials',
        settings: 'Settings',
        nowhere: 'Nothing here',
      };
      for (const [hash, heading] of Object.entries(places)) {
        await page.goto(`${it.server.url}/#/${hash}`);
        await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
        await page.locator('main [aria-busy="true"]').waitFor({ state: 'detached' });
        // Whose an execution is has a place on a telephone too.
        if (hash === 'executions') await page.getByRole('row').getByRole('link', { name: 'Runs a lot' }).first().waitFor();
        await assertAccessible(page, hash);
        await assertFits(page, hash);
      }
    });
  }
}
