// The server goes and comes back, and sessions end under one's hands: nothing typed is lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admin } from './support/people.js';
import { forgive, logIn, noticed, world } from './support/world.js';

const it = world();

test('a server that goes away is said to be, and what is shown comes back with it', async () => {
  const page = await it.at('profiles');
  await page.getByText('No profiles yet').waitFor();
  await page.keyboard.press('n');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('What it is for').fill('Typed before the crash');
  await it.server.kill();
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByRole('alert').getByText('can’t be reached').waitFor();
  await page.getByText('Airlock does not answer.').waitFor();
  assert.equal(await dialog.getByLabel('What it is for').inputValue(), 'Typed before the crash');

  await it.server.again();
  await page.getByText('Airlock does not answer.').waitFor({ state: 'detached' });
  await dialog.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: 'Typed before the crash' }).waitFor();
  page.faults.length = 0;
});

test('of what a crash interrupted nothing is claimed that nobody knows', async () => {
  const agent = await it.admin.agent('Is interrupted', []);
  const { execution_id } = await agent.execute('print("sent")\nllm.complete("Was it sent?")\n', 30);
  const page = await it.at(`executions/${execution_id}`);
  await page.getByText('Waiting for the agent').waitFor();
  await it.server.kill();
  await it.server.again();
  await page.getByRole('region', { name: 'Error' }).getByText('Interrupted').first().waitFor();
  for (const name of [/^Network/, /^Redactions/, 'Standard output']) {
    await page.getByRole('region', { name }).getByText('Not known: the record of it was lost').waitFor();
  }
  await page.getByRole('region', { name: /^LLM/ }).getByText('Not answered').waitFor();
  page.faults.length = 0;
});

test('a page opened while the server is away says so, and starts once it is there', async () => {
  const page = await it.at('overview');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.route('**/api/admin/status', (route) => route.abort());
  await page.reload();
  await page.getByText('Airlock does not answer').waitFor();
  await page.unroute('**/api/admin/status');
  await page.getByRole('navigation').waitFor();
  page.faults.length = 0;
});

test('a session that ends while one types is opened again over the page, and the change goes through', async () => {
  await it.admin.credential('KEPT', 'a value of some length');
  const page = await it.at('credentials', { own: true });
  await page.getByRole('button', { name: 'KEPT' }).click();
  const form = page.getByRole('dialog').first();
  await form.getByLabel('New value').fill('typed before the session ended');
  await form.getByLabel('What it is for').fill('typed too');
  // The list is looked at again every now and then, and may find out first: here it is the change that does.
  const looked = [];
  await page.route('**/api/admin/credentials*', (route) => (route.request().method() === 'GET' ? looked.push(route) : route.continue()));
  const [{ value }] = await page.context().cookies();
  await new Admin(it.server, value).call('POST', '/logout');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  await page.unroute('**/api/admin/credentials*');
  for (const route of looked) await route.continue();
  assert.equal(await form.getByLabel('New value').inputValue(), 'typed before the session ended');
  await noticed(page, 'KEPT saved.', () => logIn(page.getByRole('dialog').last()));
  await page.getByRole('row', { name: /KEPT/ }).getByText('typed too').waitFor();
  forgive(page, /401/);
});

test('logging out leaves nothing open', async () => {
  const page = await it.at('overview', { own: true });
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Log in to Airlock' }).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.goto(`${it.server.url}/#/credentials`);
  await page.reload();
  await page.getByRole('heading', { name: 'Log in to Airlock' }).waitFor();
});

test('two browsers see each other’s changes', async () => {
  const [one, other] = [await it.at('credentials'), await it.at('credentials')];
  await other.getByRole('heading', { name: 'Credentials' }).waitFor();
  await one.keyboard.press('n');
  await one.getByLabel('Name', { exact: true }).fill('SHARED');
  await one.getByRole('button', { name: 'Save' }).click();
  await one.getByRole('button', { name: 'SHARED' }).waitFor();
  await other.getByRole('button', { name: 'SHARED' }).waitFor();
});
