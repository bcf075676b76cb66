// Whether the server answers. While it doesn't, it is asked every two seconds; when it does again, pages load anew.
import { server } from '../api/endpoints';

const RETRY_MS = 2000;

class Connection {
  down = $state(false);
  /** Counts the times that the server came back: what depends on it is loaded again. */
  returned = $state(0);
  #timer: ReturnType<typeof setTimeout> | undefined;

  reached(answered: boolean): void {
    if (answered) {
      if (this.down) this.returned += 1;
      this.down = false;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.down = true;
      this.#timer ??= setTimeout(() => void this.#ask(), RETRY_MS);
    }
  }

  async #ask(): Promise<void> {
    this.#timer = undefined;
    try {
      await server.health();
    } catch {
      // Said so to `reached` already, which asks again.
    }
  }
}

export const connection = new Connection();
