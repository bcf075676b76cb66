// Whether somebody is signed in. The session itself is a cookie that no script can read: this only knows that it is there.
import { Problem } from '../api/client';
import { session as api } from '../api/endpoints';

export type Phase = 'starting' | 'setup' | 'login' | 'open';

class SessionState {
  phase = $state<Phase>('starting');
  /** Set while it ended under the user's hands: the page stays, a dialog asks for the password. */
  expired = $state(false);
  /** How many were opened here. */
  opened = 0;
  #waiting: (() => void)[] = [];

  /** Finds out at the start. Throws when the server can't be asked. */
  async start(): Promise<void> {
    const { setup_required, signed_in } = await api.status();
    this.phase = setup_required ? 'setup' : signed_in ? 'open' : 'login';
  }

  async setup(password: string): Promise<void> {
    try {
      await api.setup(password);
    } catch (error) {
      // Somebody else was first: then it is a matter of logging in.
      if (error instanceof Problem && error.status === 409) this.phase = 'login';
      throw error;
    }
    this.#opened();
  }

  async login(password: string): Promise<void> {
    await api.login(password);
    this.#opened();
  }

  async logout(): Promise<void> {
    try {
      await api.logout();
    } catch (error) {
      // A session that is over already is what was wanted.
      if (!(error instanceof Problem && error.status === 401)) throw error;
    }
    this.leave();
  }

  /** Shows the login page; what waited for the session is given up with the page that asked. */
  leave(): void {
    this.expired = false;
    this.#waiting = [];
    this.phase = 'login';
  }

  /** A call was refused because the session is over. Resolves when there is another. */
  ended(): Promise<void> {
    if (this.phase !== 'open') return new Promise(() => undefined);
    this.expired = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #opened(): void {
    this.phase = 'open';
    this.opened += 1;
    this.expired = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
}

export const session = new SessionState();
