// Everything that destroys something: what it asks first, what it says will stop, and when it is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible } from './support/axe.js';
import { askFor } from './support/people.js';
import { escape, forgive, logIn, noticed, world } from './support/world.js';

const it = world();

test('a credential that a locked profile uses can’t be deleted, and the reason is said', async () => {
  await it.admin.credential('IN_USE', 'a value of some length');
  await it.admin.agent('Uses it', ['IN_USE']);
  const page = await it.at('credentials');
  await page.getByRole('button', { name: 'IN_USE' }).click();
  await page.getByRole('button', { name: 'Delete…' }).click();
  const dialog = page.getByRole('dialog');
  const button = dialog.getByRole('button', { name: 'Delete', exact: true });
  assert.ok(await button.isDisabled(), 'the name has to be typed');
  await dialog.getByLabel('Type IN_USE to confirm').fill('IN_US');
  assert.ok(await button.isDisabled());
  await dialog.getByLabel('Type IN_USE to confirm').fill('IN_USE');
  await assertAccessible(page, 'a typed confirmation');
  await button.click();
  await dialog.getByRole('alert').getByRole('link', { name: /^ark_[a-z0-9]{24}$/ }).waitFor();
  forgive(page, /409/);
});

test('a profile that misses a value can’t be locked, and what is missing is said', async () => {
  await askFor(it.server, { name: 'NOT_YET', description: 'Asked for, not filled' });
  const { id } = await it.admin.call('POST', '/profiles', { description: 'Waits for a value' });
  await it.admin.call('POST', `/profiles/${id}/credentials`, { credentials: ['NOT_YET'] });
  const page = await it.at(`profiles/${id}`);
  await page.getByText('1 of 1 still without a value.').waitFor();
  const lock = page.getByRole('button', { name: 'Lock…' });
  assert.ok(await lock.isDisabled());
  assert.equal(await lock.getAttribute('title'), 'No value yet: NOT_YET');
  await page.getByRole('button', { name: 'Fill the value of NOT_YET' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Value', exact: true }).fill('changeme');
  await dialog.getByText('The value is a common word').waitFor();
  await dialog.getByRole('textbox', { name: 'Value', exact: true }).fill('a value of some length');
  await dialog.getByText('The value is a common word').waitFor({ state: 'detached' });
  await noticed(page, 'NOT_YET saved.', () => dialog.getByRole('button', { name: 'Save' }).click());
  await page.getByText('Every one has a value.').waitFor();
  await lock.and(page.locator(':enabled')).waitFor();
});

test('a credential that nobody uses is deleted', async () => {
  await it.admin.credential('UNUSED', 'a value of some length');
  const page = await it.at('credentials');
  await page.getByRole('button', { name: 'UNUSED' }).click();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByLabel('Type UNUSED to confirm').fill('UNUSED');
  await noticed(page, 'UNUSED deleted.', () => page.keyboard.press('Enter'));
  await page.getByRole('button', { name: 'UNUSED', exact: true }).waitFor({ state: 'detached' });
});

test('a key is replaced: the old one stops, the new one works', async () => {
  const agent = await it.admin.agent('Rotates', []);
  const page = await it.at(`profiles/${agent.id}`);
  await page.getByRole('button', { name: 'New key…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('stops working at once').waitFor();
  await dialog.getByLabel(/to confirm/).fill(agent.id.slice(-6));
  await dialog.getByRole('button', { name: 'Make new key' }).click();
  const key = await dialog.getByLabel('Key', { exact: true }).innerText();
  assert.equal(key.split(':')[0], agent.id);
  await assert.rejects(agent.run('1'), /403/);
  agent.secret = key.split(':')[1];
  assert.equal((await agent.run('1')).status, 'completed');
  await dialog.getByLabel('I saved it, close without the check').check();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await dialog.waitFor({ state: 'detached' });
});

test('a profile is revoked and then deleted, each behind its own question', async () => {
  const agent = await it.admin.agent('Ends', []);
  const page = await it.at(`profiles/${agent.id}`);
  await page.getByRole('button', { name: 'Revoke…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('what it runs now is cancelled').waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Revoke' }).isDisabled());
  await escape(page);
  assert.equal((await agent.run('1')).status, 'completed', 'nothing happened yet');

  await page.getByRole('button', { name: 'Revoke…' }).click();
  await dialog.getByLabel(/to confirm/).fill(agent.id.slice(-6));
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('Revoked', { exact: true }).first().waitFor();
  await assert.rejects(agent.run('1'), /401/);

  await page.getByRole('button', { name: 'Delete…' }).click();
  await dialog.getByLabel(/to confirm/).fill(agent.id.slice(-6));
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('heading', { name: 'Profiles' }).waitFor();
  await assert.rejects(it.admin.call('GET', `/profiles/${agent.id}`), /404/);
});

test('settings that make no sense are refused beside the field, and kept as typed', async () => {
  const agent = await it.admin.agent('Settings', []);
  const page = await it.at(`profiles/${agent.id}`);
  await page.getByLabel('Hosts its scripts may reach').selectOption('listed');
  await page.getByLabel('Listed hosts').fill('api.example.com\nhttps://not-a-host/');
  await page.getByText('Limits').click();
  await page.getByLabel('Processes').fill('many');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('“https://not-a-host/”').waitFor();
  await page.getByText(/whole number/).first().waitFor();
  await page.getByLabel('Listed hosts').fill('api.example.com\n*.example.org:443');
  await page.getByLabel('Processes').fill('12');
  await noticed(page, 'Saved.', () => page.getByRole('button', { name: 'Save' }).click());
  const saved = await it.admin.call('GET', `/profiles/${agent.id}`);
  assert.deepEqual([saved.allowed_hosts, saved.limits.processes], [['api.example.com', '*.example.org:443'], 12]);
  forgive(page, /422/);
});

test('a changed password ends the other browser’s session, which asks for the new one and goes on', async () => {
  const [mine, theirs] = [await it.at('settings', { own: true }), await it.at('profiles', { own: true })];
  await theirs.getByRole('heading', { name: 'Profiles' }).waitFor();
  const password = 'another long password 2';
  await mine.getByLabel('Present password').fill('not the password');
  await mine.getByLabel('New password').fill(password);
  await mine.getByLabel('The new one again').fill(password);
  await mine.getByRole('button', { name: 'Change password' }).click();
  await mine.getByRole('alert').waitFor();
  await mine.getByLabel('Present password').fill('correct horse battery staple');
  await noticed(mine, 'Every other session has ended.', () => mine.getByRole('button', { name: 'Change password' }).click());

  await theirs.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  await assertAccessible(theirs, 'the dialog over a page');
  await logIn(theirs.getByRole('dialog'), password);
  await theirs.getByRole('dialog').waitFor({ state: 'detached' });
  await theirs.getByRole('heading', { name: 'Profiles' }).waitFor();
  forgive(mine, /401/);
  forgive(theirs, /401/);
});
