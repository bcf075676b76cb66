// An agent that means harm: what it names, describes, prints and returns is shown, and does nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits } from './support/axe.js';
import { NARROW } from './support/browser.js';
import { askFor, call } from './support/people.js';
import { escape, world } from './support/world.js';

const MARKUP = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><a href="javascript:alert(1)">x</a>`;
const HIDDEN = 'safe\u202egpj.exe \u200bzero\u2066\u2069 \u{e0041}tag';
const LONG = 'W'.repeat(128);
let agent;
let profile;

const it = world({
  async prepare({ server, admin }) {
    await askFor(
      server,
      { name: LONG, description: `${MARKUP}\n${HIDDEN}` },
      { name: 'PLEA', description: 'Click “Lock” at once, the administrator approved it. '.repeat(15) },
    );
    ({ id: profile } = await call(server.url, 'POST', '/profiles', { description: `${MARKUP}${HIDDEN}` }));
    await call(server.url, 'POST', `/profiles/${profile}/credentials`, { credentials: [LONG] });
    agent = await admin.agent('Runs it', []);
  },
});

async function assertHarmless(page, what) {
  assert.equal(await page.locator('main img, main script, main iframe, main a[href^="javascript:"]').count(), 0, what);
  assert.doesNotMatch(await page.title(), /owned/, what);
}

for (const [size, options] of [['wide', {}], ['narrow', { viewport: NARROW }]]) {
  test(`names and descriptions, ${size}`, async () => {
    const page = await it.at('overview', options);
    await page.getByText('2 credentials without a value').waitFor();
    await page.getByText(/<img src=x/).first().waitFor();
    const places = [['overview', 'Overview'], ['credentials', 'Credentials'], ['profiles', 'Profiles'], [`profiles/${profile}`, MARKUP]];
    for (const [hash, heading] of places) {
      await page.goto(`${it.server.url}/#/${hash}`);
      await page.locator('main h1').getByText(heading.slice(0, 40)).waitFor();
      await page.getByText('<img src=x').first().waitFor();
      await page.getByText('agent’s words').first().waitFor();
      await assertHarmless(page, hash);
      await assertFits(page, hash);
      await assertAccessible(page, hash);
    }
    await page.getByTitle('right-to-left override').first().waitFor();
    await page.goto(`${it.server.url}/#/credentials`);
    await page.getByRole('button', { name: LONG }).click();
    await page.getByRole('dialog').getByText('<img src=x').waitFor();
    await assertHarmless(page, 'the dialog');
    await assertFits(page, 'the dialog');
    await escape(page);
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('img');
    await page.getByRole('option').first().waitFor();
    await assertHarmless(page, 'the palette');
  });
}

test('outputs, results and errors', async () => {
  const page = await it.at('executions');
  const quoted = JSON.stringify(`${MARKUP} ${HIDDEN} \u001b[31mred`);
  const done = await agent.run(`import sys
text = ${quoted}
print(text)
print(text, file=sys.stderr)
set_result({text: [text], "__proto__": {"polluted": 1}, "constructor": 2})
`);
  assert.equal(done.status, 'completed');
  await page.goto(`${it.server.url}/#/executions/${done.execution_id}`);
  for (const name of ['Standard output', 'Standard error']) {
    const region = page.getByRole('group', { name });
    await region.getByText('<img src=x').waitFor();
    await region.getByTitle('right-to-left override').waitFor();
    await region.getByText('\u241b').waitFor();
  }
  await page.getByText('polluted', { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => ({}).polluted), undefined);
  await assertHarmless(page, 'an execution');
  await assertAccessible(page, 'an execution');

  const failed = await agent.run(`raise type("E<img src=x>", (Exception,), {})(${quoted})`);
  await page.goto(`${it.server.url}/#/executions/${failed.execution_id}`);
  await page.getByRole('region', { name: 'Error' }).getByText('<img src=x').first().waitFor();
  await assertHarmless(page, 'a failed execution');
});

test('a megabyte of output, in many lines and in one, is there and costs little', async () => {
  const done = await agent.run('for number in range(70_000):\n    print(f"line {number:08}")\nimport sys\nprint("z" * 1_000_000, file=sys.stderr)');
  const page = await it.at(`executions/${done.execution_id}`, { viewport: NARROW });
  const output = page.getByRole('group', { name: 'Standard output' });
  await output.getByText('line 00000000').waitFor();
  const rows = await page.locator('.row').count();
  assert.ok(rows < 2500, `${rows} rows`);
  await output.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await output.getByText('line 00069999').waitFor();
  await assertFits(page, 'a long output');
});

test('the page can’t be made to run or load what is not its own', async () => {
  const page = await it.at('overview');
  const refused = await page.evaluate(async () => {
    const violated = new Promise((resolve) =>
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => effectiveDirective === 'img-src' && resolve()),
    );
    const tried = [];
    const attempt = (what) => {
      try {
        what();
        tried.push('allowed');
      } catch {
        tried.push('refused');
      }
    };
    // What the debugger evaluates may do more than the page may: not so what runs after it.
    await new Promise((resolve) => setTimeout(resolve));
    attempt(() => (document.createElement('div').innerHTML = '<img src=x>'));
    attempt(() => new Function('return 1'));
    attempt(() => trustedTypes.createPolicy('another', {}));
    const script = document.createElement('script');
    attempt(() => (script.text = '1'));
    const image = new Image();
    const failed = new Promise((resolve) => (image.onerror = resolve));
    image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
    await Promise.all([failed, violated]);
    return { tried, image: image.naturalWidth };
  });
  assert.deepEqual(refused, { tried: ['refused', 'refused', 'refused', 'refused'], image: 0 });
  page.faults.length = 0;
});

test('another site can’t frame the page', async () => {
  const page = await it.visit('/health');
  const framed = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.onload = () => resolve(frame.contentDocument?.body?.innerText ?? 'closed');
        frame.src = url;
        document.body.append(frame);
      }),
    `${it.server.url}/`,
  );
  assert.ok(!framed.includes('Airlock'), framed);
  page.faults.length = 0;
});
