// The two who talk to the server without a browser: the administrator at the API, and an agent with its key.
import { createHmac } from 'node:crypto';
import { PASSWORD } from './server.js';

async function call(url, method, path, body, headers = {}) {
  const init = { method, headers: { ...headers } };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers['content-type'] = 'application/json';
  }
  const response = await fetch(new URL(path, url), init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** The administrator: sets a fresh server up, or logs in. */
export class Admin {
  static async of(server) {
    const { setup_required } = await call(server.url, 'GET', '/api/admin/status');
    const { token } = await call(server.url, 'POST', `/api/admin/${setup_required ? 'setup' : 'login'}`, { password: PASSWORD });
    return new Admin(server, token);
  }

  constructor(server, token) {
    this.server = server;
    this.token = token;
  }

  call(method, path, body) {
    return call(this.server.url, method, `/api/admin${path}`, body, { authorization: `Bearer ${this.token}` });
  }

  /** Gives a browser this session, as a login would. */
  async lend(context) {
    const { hostname } = new URL(this.server.url);
    const cookie = { name: 'airlock_session', value: this.token, domain: hostname, path: '/', httpOnly: true };
    await context.addCookies([{ ...cookie, sameSite: 'Strict' }]);
  }

  credential(name, value, description = '') {
    return this.call('POST', '/credentials', { name, value, description });
  }

  /** A locked profile with these credentials, as its agent. */
  async agent(description, names) {
    const { id } = await this.call('POST', '/profiles', { description });
    if (names.length > 0) await this.call('POST', `/profiles/${id}/credentials`, { credentials: names });
    const { key } = await this.call('POST', `/profiles/${id}/lock`);
    return new Agent(this.server, key);
  }
}

/** An agent: knows its key and nothing else. */
export class Agent {
  constructor(server, key) {
    this.server = server;
    this.key = key;
    [this.id, this.secret] = key.split(':');
  }

  /** Hands in a script; returns the execution, finished if that came within `wait` seconds. */
  execute(script, wait = 0, more = {}) {
    const hash = createHmac('sha256', this.secret).update(script).digest('hex');
    const headers = { authorization: `Bearer ${this.id}` };
    return call(this.server.url, 'POST', `/execute?wait=${wait}`, { script, hash, ...more }, headers);
  }

  /** Runs a script to its end. */
  async run(script, more = {}) {
    let execution = await this.execute(script, 60, more);
    while (['pending', 'running'].includes(execution.status)) execution = await this.poll(execution.execution_id, 60);
    return execution;
  }

  poll(id, wait = 0) {
    return call(this.server.url, 'GET', `/executions/${id}?wait=${wait}`);
  }

  respond(id, response) {
    return call(this.server.url, 'POST', `/executions/${id}/respond`, { response });
  }
}

/** Asks for slots as an agent does, without a session. */
export function askFor(server, ...credentials) {
  return call(server.url, 'POST', '/credentials', { credentials });
}

export { call };
