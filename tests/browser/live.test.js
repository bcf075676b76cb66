// Executions as they happen: output as it comes, a pause for the agent's LLM, an end by the person, and once more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible } from './support/axe.js';
import { forgive, noticed, world } from './support/world.js';

let agent;
const it = world({
  async prepare({ admin }) {
    agent = await admin.agent('Asks its LLM', []);
  },
});

test('a pause is seen with its prompt, answered by the agent, and the result follows by itself', async () => {
  const script = 'print("so far <b>", flush=True)\nanswer = llm.complete("What is 6 x 7? <i>\\u202e" + " please" * 100, model="small")\nset_result({"answer": answer})\n';
  const { execution_id } = await agent.execute(script);
  const page = await it.at(`executions/${execution_id}`);
  await page.getByText('Waiting for the agent').waitFor();
  const llm = page.getByRole('region', { name: /^LLM/ });
  await llm.getByText('What is 6 x 7? <i>').waitFor();
  await llm.getByTitle('right-to-left override').waitFor();
  const [prompt, room] = await llm.getByRole('group', { name: 'Prompt 1' }).evaluate((element) => [element.scrollWidth, element.clientWidth]);
  assert.equal(prompt, room, 'a long question is read without scrolling sideways');
  await page.getByRole('group', { name: 'Standard output' }).getByText('so far <b>').waitFor();
  await assertAccessible(page, 'a pause');

  const overview = await it.at('overview');
  await overview.getByRole('link', { name: '1 Awaiting LLM' }).waitFor();
  await overview.getByRole('link', { name: '1 Awaiting LLM' }).click();
  await overview.locator(`[title="${execution_id}"]`).waitFor();

  await agent.respond(execution_id, 'Forty-two <script>');
  await page.getByText('Was answered (1)').waitFor();
  await page.getByRole('region', { name: 'Result' }).getByText('"Forty-two <script>"').waitFor();
  await llm.getByRole('group', { name: 'Answer 1' }).getByText('Forty-two <script>').waitFor();
  await page.getByRole('heading', { level: 1 }).getByText('Completed').waitFor();
  // The list was of those that wait, and this one does not any more.
  await overview.getByText('None fits').waitFor();
});

test('output comes as it is written, and a person can end it', async () => {
  const script = 'import sys, time\nfor step in range(10_000):\n    print("step", step, flush=True)\n    time.sleep(0.2)\n';
  const { execution_id } = await agent.execute(script, 0, { timeout: 600 });
  const page = await it.at(`executions/${execution_id}`);
  const output = page.getByRole('group', { name: 'Standard output' });
  await output.getByText('step 0', { exact: true }).waitFor();
  await output.getByText('step 5', { exact: true }).waitFor();
  // Nothing is claimed of what is not known yet.
  const network = page.getByRole('region', { name: /^Network/ });
  await network.getByText('Known when it has ended').waitFor();
  await page.getByRole('region', { name: /^Redactions/ }).getByText('Known when it has ended').waitFor();
  await page.getByRole('button', { name: 'Cancel…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('stays done').waitFor();
  await assertAccessible(page, 'the question');
  await dialog.getByRole('button', { name: 'Cancel execution' }).click();
  await page.getByRole('heading', { level: 1 }).getByText('Cancelled').waitFor();
  await network.getByText('It connected to nothing').waitFor();
  assert.equal((await agent.poll(execution_id)).status, 'cancelled');
  await output.getByText('step 5', { exact: true }).waitFor();
});

test('output is followed to its end, until the person scrolls back to read', async () => {
  const script = 'for part in range(3):\n    for line in range(60):\n        print(f"part {part} line {line}", flush=True)\n    llm.complete("go on?")\n';
  const { execution_id } = await agent.execute(script);
  const page = await it.at(`executions/${execution_id}`);
  const output = page.getByRole('group', { name: 'Standard output' });
  for (let part = 0; part < 3; part += 1) {
    await output.getByText(`part ${part} line 59`).waitFor();
    await page.getByRole('group', { name: `Prompt ${part + 1}` }).waitFor();
    const place = (element) => ({ top: element.scrollTop, left: element.scrollHeight - element.scrollTop - element.clientHeight });
    const { top, left } = await output.evaluate(place);
    if (part < 2) assert.ok(top > 0 && left < 20, `part ${part} is followed: ${left} px are left`);
    else assert.equal(top, 0, 'who reads the beginning is left there');
    if (part === 1) {
      await output.evaluate((element) => element.scrollTo(0, 0));
      await output.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    }
    await agent.respond(execution_id, 'yes');
  }
  await page.getByRole('heading', { level: 1 }).getByText('Completed').waitFor();
});

test('a person runs it again, and deletes what is over', async () => {
  const done = await agent.run('set_result("once")');
  const page = await it.at(`executions/${done.execution_id}`);
  await page.getByRole('button', { name: 'Run again…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Run again' }).click();
  await page.waitForURL((url) => /#\/executions\/exec_/.test(url.hash) && !url.hash.includes(done.execution_id));
  await page.getByText('Runs again', { exact: true }).waitFor();
  await page.getByRole('link', { name: /^exec_/ }).click();
  await page.waitForURL(`**/#/executions/${done.execution_id}`);
  await page.getByRole('button', { name: 'Delete…' }).click();
  await noticed(page, 'Deleted.', () => page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click());
  await page.getByRole('heading', { name: 'Executions' }).waitFor();
  await assert.rejects(agent.poll(done.execution_id), /404/);
  await page.goto(`${it.server.url}/#/executions/${done.execution_id}`);
  await page.getByText('This does not exist, or not any more.').waitFor();
  forgive(page, /404/);
});

test('sessions are seen and ended', async () => {
  const theirs = await it.at('overview', { own: true });
  const mine = await it.at('settings', { own: true });
  await theirs.getByRole('heading', { name: 'Overview' }).waitFor();
  const sessions = mine.getByRole('region', { name: /^Sessions/ });
  await sessions.getByText('This one').waitFor();
  const others = sessions.getByRole('listitem').filter({ hasNotText: 'This one' });
  for (let left = await others.count(); left > 0; left -= 1) {
    await others.first().getByRole('button', { name: 'End' }).click();
    await mine.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
    await others.nth(left - 1).waitFor({ state: 'detached' });
  }
  await theirs.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  assert.equal(await sessions.getByRole('listitem').count(), 1);
  forgive(theirs, /401/);
});
