// From the first visit to a result: a person with a browser, an agent with a key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible } from './support/axe.js';
import { Agent, askFor } from './support/people.js';
import { PASSWORD } from './support/server.js';
import { forgive, goBy, logIn, noticed, world } from './support/world.js';

const it = world({ setUp: false });
const VALUE = 'postgresql://reports:s3cr3t-t0k3n@db.internal/reports';

test('first visit, credential, profile, lock, script, result', async () => {
  const page = await it.visit();
  const key = await t_setUp(page);
  await t_result(page, key);
});

async function t_setUp(page) {
  // The first visit.
  await page.getByRole('heading', { name: 'Set up Airlock' }).waitFor();
  await assertAccessible(page, 'setup');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByText('It needs at least 8 characters.').waitFor();
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByLabel('The same again').fill(`${PASSWORD}!`);
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByText('The two differ.').waitFor();
  await page.getByLabel('The same again').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Begin here' }).waitFor();
  await assertAccessible(page, 'an empty overview');
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['airlock_session', true, 'Strict']);

  // An agent asks for a value, and the person sees it.
  await askFor(it.server, { name: 'REPORTS_DB', description: 'Read-only URL of the reports database' });
  await page.getByText('1 credential without a value').waitFor();
  await page.getByRole('link', { name: 'Fill' }).click();
  await page.getByRole('button', { name: 'REPORTS_DB' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('agent’s words').waitFor();
  await dialog.getByRole('textbox', { name: 'Value', exact: true }).fill('short');
  await dialog.getByText('fewer than 8 letters and digits').waitFor();
  const masked = await dialog.getByRole('textbox', { name: 'Value', exact: true }).evaluate((field) => getComputedStyle(field).webkitTextSecurity);
  assert.equal(masked, 'disc', 'a value is masked as it is typed');
  await dialog.getByRole('textbox', { name: 'Value', exact: true }).fill(VALUE);
  await assertAccessible(page, 'a credential’s dialog');
  await noticed(page, 'REPORTS_DB saved.', () => dialog.getByRole('button', { name: 'Save' }).click());
  await dialog.waitFor({ state: 'detached' });

  // Another by hand.
  await page.goto(`${it.server.url}/#/credentials`);
  await page.keyboard.press('n');
  await dialog.getByLabel('Name', { exact: true }).fill('1 bad name');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText('Letters, digits and underscores').waitFor();
  await dialog.getByLabel('Name', { exact: true }).fill('SMTP_HOST');
  await dialog.getByRole('textbox', { name: 'Value', exact: true }).fill('mail.internal');
  await dialog.getByLabel(/Plain configuration/).check();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /SMTP_HOST/ }).getByText('Plain').waitFor();
  await assertAccessible(page, 'credentials');

  // A profile, step by step.
  await goBy(page, 'p', 'Profiles');
  await page.getByText('No profiles yet').waitFor();
  await page.keyboard.press('n');
  await dialog.getByLabel('What it is for').fill('Nightly report');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Nightly report' }).waitFor();
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('checkbox', { name: /REPORTS_DB/ }).check();
  await dialog.getByRole('checkbox', { name: /SMTP_HOST/ }).check();
  await assertAccessible(page, 'choosing credentials');
  await dialog.getByRole('button', { name: 'Add 2 credentials' }).click();
  await page.getByText('Every one has a value.').waitFor();
  // What is known of a value is said here too.
  const entry = (name) => page.getByRole('region', { name: /^Credentials/ }).getByRole('listitem').filter({ hasText: name });
  await entry('SMTP_HOST').getByText('Plain').waitFor();
  for (const [value, said] of [['short', 'Weak'], [VALUE, 'Filled']]) {
    await entry('REPORTS_DB').getByRole('button', { name: /Replace/ }).click();
    await dialog.getByRole('textbox', { name: 'New value' }).fill(value);
    await dialog.getByRole('button', { name: 'Save' }).click();
    await entry('REPORTS_DB').getByText(said, { exact: true }).waitFor();
  }
  await page.getByRole('button', { name: 'Take SMTP_HOST out' }).click();
  await page.getByRole('button', { name: 'Take SMTP_HOST out' }).waitFor({ state: 'detached' });
  await assertAccessible(page, 'an unlocked profile');

  // The lock, and the key, once.
  await page.getByRole('button', { name: 'Lock…' }).click();
  await dialog.getByText('every public host').waitFor();
  await dialog.getByRole('button', { name: 'Lock and show the key' }).click();
  const key = await dialog.getByLabel('Key', { exact: true }).innerText();
  assert.match(key, /^ark_[a-z0-9]{24}:[A-Za-z0-9]{48}$/);
  await assertAccessible(page, 'the key');
  const done = dialog.getByRole('button', { name: 'Done' });
  assert.ok(await done.isDisabled());
  for (let press = 0; press < 4; press += 1) await page.keyboard.press('Escape');
  assert.ok(await dialog.isVisible(), 'the key is not lost to a key press');
  // Nor where the key does not reach the page: nothing in the dialog has the focus.
  await page.evaluate(() => document.activeElement.blur());
  for (let press = 0; press < 4; press += 1) await page.keyboard.press('Escape');
  assert.equal(await dialog.getByLabel('Key', { exact: true }).innerText(), key, 'nor to many');
  await dialog.getByLabel(/Paste it/).fill('ark_something:else');
  await dialog.getByText('That is not this key.').waitFor();
  await dialog.getByLabel(/Paste it/).fill(key);
  await dialog.getByText('That is the key.').waitFor();
  await done.click();
  await page.getByText('Frozen when it was locked').waitFor();
  const secret = key.split(':')[1];
  assert.ok(!(await page.content()).includes(secret), 'the key is not in the page any more');
  await assertAccessible(page, 'a locked profile');
  return key;
}

async function t_result(page, key) {
  const agent = new Agent(it.server, key);
  const script = 'print("got", settings["REPORTS_DB"])\nanswer = llm.complete("How many rows?")\nset_result({"rows": answer, "key": settings["REPORTS_DB"]})\n';
  const { execution_id } = await agent.execute(script);

  // It turns up by itself, waits for the agent's LLM, and says everything but the value.
  const recent = page.getByRole('table', { name: 'Recent executions' });
  await recent.getByRole('row', { name: /Awaiting LLM/ }).waitFor();
  await agent.respond(execution_id, 'two, both new');
  const row = recent.getByRole('row', { name: /Completed/ });
  await row.getByRole('link').click();
  await page.getByRole('heading', { name: /Execution/ }).waitFor();
  await page.getByText('got [REDACTED]').waitFor();
  await page.getByText('"[REDACTED]"').waitFor();
  await page.getByText('"two, both new"').waitFor();
  await page.getByRole('group', { name: 'Prompt 1' }).getByText('How many rows?').waitFor();
  assert.equal(await page.getByRole('region', { name: 'Script' }).locator('.row').count(), 3);
  await page.getByRole('heading', { name: 'Redactions 2' }).waitFor();
  await assertAccessible(page, 'an execution');

  const failed = await agent.run('x = 1\n\nraise ValueError("no")\n');
  await page.goto(`${it.server.url}/#/executions/${failed.execution_id}`);
  const marked = page.getByRole('region', { name: 'Script' }).locator('.marked');
  await marked.getByText('raise').waitFor();
  assert.match(await page.getByRole('region', { name: 'Error' }).innerText(), /ValueError: no/);

  // Nothing secret anywhere that outlives the page.
  const kept = await page.evaluate(async () => ({
    local: Object.entries(localStorage),
    session: Object.entries(sessionStorage),
    databases: (await indexedDB.databases()).length,
    caches: await caches.keys(),
    cookies: document.cookie,
  }));
  assert.deepEqual(kept, { local: [], session: [], databases: 0, caches: [], cookies: '' });
  for (const secret of [VALUE, key.split(':')[1], PASSWORD]) {
    assert.ok(!(await page.content()).includes(secret) && !page.url().includes(secret));
    assert.ok(!it.server.log.includes(secret));
  }
}

test('a wrong password is refused, then slowed, with the wait shown', async () => {
  const page = await it.visit();
  await page.getByRole('heading', { name: 'Log in to Airlock' }).waitFor();
  await assertAccessible(page, 'login');
  const alert = page.getByRole('alert');
  // To the page no time passes, so that a wait of a second does not end while this looks at it.
  await page.clock.setFixedTime(Date.now());
  let status = 401;
  for (let guess = 0; guess < 30 && status === 401; guess += 1) {
    const [answer] = await Promise.all([page.waitForResponse('**/api/admin/login'), logIn(page, `guess number ${guess}`)]);
    status = answer.status();
    if (status === 401) await alert.getByText(/password/i).waitFor();
  }
  assert.equal(status, 429);
  await alert.getByText(/Try again in \d+ s/).waitFor();
  assert.ok(await page.getByRole('button', { name: 'Log in' }).isDisabled(), 'no use in trying before that');
  await page.clock.setFixedTime(Date.now() + 3_600_000);
  await page.getByRole('button', { name: 'Log in', disabled: false }).waitFor();
  assert.ok(!/Try again/.test(await alert.innerText()));
  forgive(page, /401|429/);
});
