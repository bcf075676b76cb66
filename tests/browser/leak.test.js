// What a script was kept from: a credential in disguise, which suspends its profile until a person lifts that, and hosts that
// its profile does not list.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits } from './support/axe.js';
import { NARROW } from './support/browser.js';
import { noticed, world } from './support/world.js';

const VALUE = 'Zq8vT2mK4xWn7RbJ';
const it = world();

test('a profile that leaked is suspended, which is shown and explained, and a person lifts it', async () => {
  await it.admin.credential('LEAKED', VALUE);
  const agent = await it.admin.agent('Nightly sums', ['LEAKED']);
  const page = await it.at(`profiles/${agent.id}`);
  await page.getByLabel('When a script leaks a credential in disguise').selectOption('suspend');
  await noticed(page, 'Saved.', () => page.getByRole('button', { name: 'Save' }).click());

  const leak = await agent.run('print(settings["LEAKED"][::-1])');
  assert.equal(leak.status, 'completed');
  assert.ok(!JSON.stringify(leak).includes([...VALUE].reverse().join('')));
  await assert.rejects(agent.run('1'), /409.*suspended/s);

  // The page comes to it by itself.
  await page.getByText('Suspended', { exact: true }).waitFor();
  await page.getByText('runs nothing until you lift the suspension').waitFor();
  await page.getByRole('table', { name: 'Recent executions' }).getByText('Suspicious').waitFor();
  await assertAccessible(page, 'a suspended profile');
  await assertFits(page, 'a suspended profile');

  // So does everywhere else that one may look.
  const other = await it.at('overview');
  await other.getByText('1 execution returned a credential in disguise').waitFor();
  await other.getByText('1 profile is suspended').waitFor();
  await assertAccessible(other, 'an overview with a leak');
  await other.getByRole('link', { name: 'Nightly sums' }).first().waitFor();
  await other.getByRole('region', { name: 'Needs you' }).getByRole('link', { name: /^exec_/ }).click();
  await other.getByText('This execution returned a credential in disguise').waitFor();
  await other.getByRole('heading', { level: 1 }).getByText('Suspicious').waitFor();
  await other.getByRole('heading', { name: 'Redactions 1' }).waitFor();
  await other.getByRole('group', { name: 'Standard output' }).getByText('[REDACTED').waitFor();
  await assertAccessible(other, 'a suspicious execution');
  await other.goto(`${it.server.url}/#/profiles`);
  await other.getByRole('row', { name: /Nightly sums/ }).getByText('Suspended').waitFor();

  await page.getByRole('button', { name: 'Lift suspension…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Look at its suspicious executions first').waitFor();
  await assertAccessible(page, 'the question');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  await assert.rejects(agent.run('1'), /409/, 'nothing happened yet');
  await page.getByRole('button', { name: 'Lift suspension…' }).click();
  await noticed(page, 'Suspension lifted.', () => dialog.getByRole('button', { name: 'Lift suspension' }).click());
  await page.getByText('Locked', { exact: true }).waitFor();
  await page.getByText('runs nothing until').waitFor({ state: 'detached' });
  assert.equal((await agent.run('1')).status, 'completed');
});

test('a person suspends a profile by hand, behind a question', async () => {
  const agent = await it.admin.agent('Held by hand', []);
  const { execution_id } = await agent.execute('import time\ntime.sleep(600)', 0, { timeout: 700 });
  const page = await it.at(`profiles/${agent.id}`);
  await page.getByRole('button', { name: 'Suspend…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('what it runs now is cancelled').waitFor();
  await assertAccessible(page, 'the question');
  await noticed(page, 'Suspended.', () => dialog.getByRole('button', { name: 'Suspend', exact: true }).click());
  await page.getByText('runs nothing until you lift the suspension').waitFor();
  await assert.rejects(agent.run('1'), /409.*suspended/s);
  const end = await agent.poll(execution_id, 60);
  assert.equal(end.status, 'cancelled');
  await page.getByRole('button', { name: 'Suspend…' }).waitFor({ state: 'detached' });
});

test('where a script connected to is shown, with why it was refused', async () => {
  const agent = await it.admin.agent('Reaches out', []);
  await it.admin.call('PUT', `/profiles/${agent.id}`, { allowed_hosts: ['api.example.com:443', '203.0.113.9:443'] });
  const script = `import socket
for host, port in [*(("127.0.0.1", port) for port in range(8001, 8011)), ("169.254.169.254", 80), ("203.0.113.9", 22), ("203.0.113.10", 443), ("203.0.113.10", 443)]:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        print(host, error)
try:
    socket.getaddrinfo("exfil-0123456789.example.net", 443)
except OSError as error:
    print(error)
`;
  const done = await agent.run(script);
  assert.equal(done.status, 'completed');
  for (const viewport of [{ width: 1280, height: 800 }, NARROW]) {
    const page = await it.at(`executions/${done.execution_id}`, { viewport });
    const network = page.getByRole('region', { name: /^Network/ });
    await network.getByText('14 refused').waitFor();
    const entries = await network.getByRole('listitem').allInnerTexts();
    assert.deepEqual(
      entries.map((entry) => entry.split(/\s*\n\s*/)),
      [
        ...Array.from({ length: 10 }, (_, index) => [`127.0.0.1:${8001 + index}`, 'Refused', 'This machine']),
        ['169.254.169.254:80', 'Refused', 'Link-local, or cloud metadata'],
        ['203.0.113.9:22', 'Refused', 'Listed, but not with this port'],
        ['203.0.113.10:443', 'Refused', 'No host has such an address, 2 times'],
        ['exfil-0123456789.example.net', 'Refused', 'Not among the hosts of its profile, 2 times'],
      ],
    );
    await assertAccessible(page, 'a network panel');
    await assertFits(page, 'a network panel');
  }
});
