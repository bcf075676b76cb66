// Takes a picture of every page, with data that look like a week of work: `node shots.js FOLDER`. What stands in the
// documentation was taken by this.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Browser, NARROW, open, WIDE } from './support/browser.js';
import { Admin, askFor } from './support/people.js';
import { PASSWORD, Server } from './support/server.js';

const folder = process.argv[2] ?? 'shots';
/** Only these, when some are named: `node shots.js FOLDER overview,settings`. */
const only = process.argv[3]?.split(',');
mkdirSync(folder, { recursive: true });
const server = await Server.start();
const browser = await Browser.start();

const schemes = ['dark', 'light'];
const sizes = { wide: WIDE, narrow: NARROW };

async function each(name, prepare) {
  if (only && !only.includes(name)) return;
  for (const colorScheme of schemes) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const context = await browser.person({ colorScheme, viewport, deviceScaleFactor: 1 });
      const page = await prepare(context);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${size}.png`), fullPage: size === 'narrow' });
      if (page.faults.length > 0) console.error(name, page.faults);
      await context.close();
    }
  }
}

await each('setup', async (context) => {
  const page = await open(context, server);
  await page.getByLabel('Password').fill('correct horse');
  return page;
});

const admin = await Admin.of(server);
await each('login', (context) => open(context, server));

async function at(context, hash, ready) {
  await admin.lend(context);
  const page = await open(context, server, `/#/${hash}`);
  await ready?.(page);
  await page.locator('[aria-busy="true"]').waitFor({ state: 'detached' });
  return page;
}

await each('overview-first', (context) => at(context, 'overview', (page) => page.getByText('Begin here').waitFor()));
await each('credentials-none', (context) => at(context, 'credentials', (page) => page.getByText('No credentials yet').waitFor()));

await admin.credential('REPORTS_DB', 'postgresql://reports:9f2c71aa@db.internal/reports', 'Read-only URL of the reports database');
await admin.credential('GITHUB_TOKEN', 'ghp_R4nd0mT0kenThatIsN0tReal123456789', 'Fine-grained token, read access to acme/shop');
await admin.credential('STRIPE_KEY', 'rk_live_51NotARealKeyAtAll0000000000', 'Restricted key: read charges');
await admin.call('POST', '/credentials', { name: 'SMTP_HOST', value: 'mail.internal', secret: false, description: 'Where reports are sent from' });
await askFor(
  server,
  { name: 'WAREHOUSE_DSN', description: 'Oracle DSN of the warehouse, needed to reconcile the nightly numbers.' },
  { name: 'SLACK_WEBHOOK', description: 'Incoming webhook for #nightly\u202egnp.exe, so that I can post the summary.' },
);
const nightly = await admin.agent('Nightly revenue report', ['REPORTS_DB', 'STRIPE_KEY']);
await admin.call('PUT', `/profiles/${nightly.id}`, {
  allowed_hosts: ['db.internal:5432', 'api.stripe.com', '*.acme.example'],
  expires_at: new Date(Date.now() + 90 * 86_400_000).toISOString(),
  limits: { memory_bytes: 1024 * 1024 * 1024 },
});
const triage = await admin.agent('Issue triage for acme/shop', ['GITHUB_TOKEN']);
const { id: ready } = await admin.call('POST', '/profiles', { description: 'Charge disputes' });
await admin.call('POST', `/profiles/${ready}/credentials`, { credentials: ['STRIPE_KEY'] });
const { id: waiting } = await admin.call('POST', '/profiles', { description: 'Warehouse reconciliation' });
await admin.call('POST', `/profiles/${waiting}/credentials`, { credentials: ['WAREHOUSE_DSN', 'REPORTS_DB'] });

const REPORT = `import hashlib
import json

# Sums up a day of orders and seals the sum.
ORDERS = [("coffee", 3, 1990), ("tea", 1, 890), ("mug", 12, 1250)]


def total(orders):
    """Cents."""
    return sum(count * cents for _, count, cents in orders)


dsn = settings["REPORTS_DB"]
print(f"connecting to {dsn}")
for name, count, cents in ORDERS:
    print(f"{name:10} {count:4} x {cents / 100:8.2f}")
set_result({
    "orders": [{"name": n, "count": c, "cents": p} for n, c, p in ORDERS],
    "total_cents": total(ORDERS),
    "seal": hashlib.sha256(str(total(ORDERS)).encode()).hexdigest(),
    "id": 12345678901234567890,
    "dsn": dsn,
    "ok": True,
    "note": None,
})
`;
const done = await nightly.run(REPORT);
const failed = await triage.run(`issues = [{"id": 1, "labels": ["bug"]}, {"id": 2}]

def labels(issue):
    return issue["labels"]

for issue in issues:
    print(issue["id"], labels(issue))
`);
for (let round = 0; round < 24; round += 1) {
  await triage.run(`import time\ntime.sleep(${(round % 5) / 40})\nset_result(${round})`);
  if (round % 6 === 0) await nightly.run('raise ConnectionError("the reports database did not answer")');
}
await triage.run('import time\ntime.sleep(30)', { timeout: 1 });
const running = await triage.execute('import time\nfor step in range(600):\n    print("step", step, flush=True)\n    time.sleep(1)', 0, { timeout: 600 });
await triage.poll(running.execution_id, 5);

// One that reached out, one that leaked, and a megabyte.
const curious = await nightly.run(`import socket
for host, port in [("api.stripe.com.evil.example", 443), ("169.254.169.254", 80), ("127.0.0.1", 5432), ("203.0.113.10", 443)]:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        print(host, error)
`);
const leaky = await admin.agent('Partner export', ['REPORTS_DB']);
await admin.call('PUT', `/profiles/${leaky.id}`, { on_leak: 'suspend' });
const leak = await leaky.run('import base64\ndsn = settings["REPORTS_DB"]\nprint(dsn)\nprint(dsn[::-1])\nset_result({"export": base64.b64encode(dsn[::-1].encode()).decode()})');
const megabyte = await triage.run('for line in range(20_000):\n    print(f"{line:06} the quick brown fox jumps over the lazy dog")');

const asking = await nightly.execute('orders = 31\nsummary = llm.complete(f"Sum up in one sentence: {orders} orders, 218.60 EUR, none refunded.")\nset_result({"summary": summary})');
await nightly.poll(asking.execution_id, 5);

const row = (page) => page.getByRole('row').nth(1).waitFor();
await each('overview', (context) => at(context, 'overview', row));
await each('credentials', (context) => at(context, 'credentials', row));
await each('profiles', (context) => at(context, 'profiles', row));
await each('profile-locked', (context) => at(context, `profiles/${nightly.id}`, row));
await each('profile-waiting', (context) => at(context, `profiles/${waiting}`, (page) => page.getByText('Fill values').waitFor()));
await each('executions', (context) => at(context, 'executions', row));
await each('execution', (context) => at(context, `executions/${done.execution_id}`, (page) => page.getByText('Timeline').waitFor()));
await each('execution-failed', (context) => at(context, `executions/${failed.execution_id}`, (page) => page.getByText('Timeline').waitFor()));
await each('execution-running', (context) => at(context, `executions/${running.execution_id}`, (page) => page.getByText('Timeline').waitFor()));
await each('execution-asking', (context) => at(context, `executions/${asking.execution_id}`, (page) => page.getByText('Waiting for the agent').waitFor()));
await each('execution-network', (context) => at(context, `executions/${curious.execution_id}`, (page) => page.getByText('refused').first().waitFor()));
await each('execution-leak', (context) => at(context, `executions/${leak.execution_id}`, (page) => page.getByText('in disguise').waitFor()));
await each('execution-megabyte', (context) => at(context, `executions/${megabyte.execution_id}`, (page) => page.getByText('000000 the').waitFor()));
await each('profile-suspended', (context) => at(context, `profiles/${leaky.id}`, row));
await each('settings', (context) => at(context, 'settings', (page) => page.getByText('This server').waitFor()));
await each('dialog-credential', (context) =>
  at(context, 'credentials', async (page) => {
    await page.getByRole('button', { name: 'SLACK_WEBHOOK' }).click();
    await page.getByRole('textbox', { name: 'Value', exact: true }).fill(' hunter2');
  }),
);
await each('dialog-lock', (context) =>
  at(context, `profiles/${ready}`, async (page) => {
    await page.getByRole('button', { name: 'Lock…' }).click();
  }),
);
await each('palette', (context) =>
  at(context, 'overview', async (page) => {
    await row(page);
    await page.keyboard.press('Control+k');
    await page.getByRole('option').nth(6).waitFor();
  }),
);

// Names as long as they may be.
await askFor(server, { name: 'W'.repeat(128), description: 'A name as long as a name may be, and a description that goes on for a while. '.repeat(4) });
const { id: long } = await admin.call('POST', '/profiles', { description: 'Reconciliation-of-the-quarterly-numbers-'.repeat(6).slice(0, 240) });
await admin.call('POST', `/profiles/${long}/credentials`, { credentials: ['W'.repeat(128), 'SMTP_HOST'] });
await each('profile-long', (context) => at(context, `profiles/${long}`, (page) => page.getByText('Fill values').waitFor()));
await each('overview-long', (context) => at(context, 'overview', row));
await each('credentials-long', (context) => at(context, 'credentials', row));
await each('profiles-long', (context) => at(context, 'profiles', row));
await each('executions-none', (context) => at(context, `executions?profile=${long}`, (page) => page.getByText('None fits').waitFor()));

await browser.stop();
await server.remove();
