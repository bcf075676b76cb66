// The examples on a profile's page, as an agent would run them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { world } from './support/world.js';

const run = promisify(execFile);
let agent;
const it = world({
  async prepare({ admin }) {
    agent = await admin.agent('Runs the examples', []);
  },
});

for (const [language, command, first] of [['curl', 'sh', 'SCRIPT='], ['Python', 'python3', 'import hashlib']]) {
  test(`the example in ${language} runs as it stands`, async () => {
    const page = await it.at(`profiles/${agent.id}`);
    await page.getByRole('button', { name: language, exact: true }).click();
    const shown = page.getByRole('group', { name: 'Example' });
    await shown.getByText(first).waitFor();
    const lines = await shown.locator('.row .text').allTextContents();
    const example = lines.join('\n');
    assert.ok(!example.includes(agent.secret), 'the key is not in it');
    const { stdout } = await run(command, ['-c', example], { env: { ...process.env, AIRLOCK_KEY: agent.key } });
    assert.match(stdout, /completed/);
    assert.match(stdout, /answer['"]: ?42/);
  });
}
