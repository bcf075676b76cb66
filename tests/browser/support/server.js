// A real server: the built binary, on loopback, with a data folder of its own that goes with it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = process.env.AIRLOCK_BINARY ?? new URL('../../../target/debug/airlock', import.meta.url).pathname;
export const PASSWORD = 'correct horse battery staple';

export class Server {
  /** @param {string[]} args more of the command line */
  static async start(args = []) {
    const server = new Server(await mkdtemp(join(tmpdir(), 'airlock-ui-')), args);
    await server.run('127.0.0.1:0');
    return server;
  }

  constructor(folder, args) {
    this.folder = folder;
    this.args = args;
    this.log = '';
  }

  async run(listen) {
    const args = ['serve', '--listen', listen, '--data-dir', this.folder, ...this.args];
    this.child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stderr.on('data', (bytes) => (this.log += bytes));
    const lines = createInterface(this.child.stdout);
    const ended = once(this.child, 'exit').then(() => Promise.reject(new Error(`no server:\n${this.log}`)));
    ended.catch(() => undefined);
    const [line] = await Promise.race([once(lines, 'line'), ended]);
    this.url = line.replace('listening on ', '');
  }

  /** Kills it; the data stay. */
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }

  /** Starts it again where it was. */
  async again() {
    await this.run(new URL(this.url).host);
  }

  async remove() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}
