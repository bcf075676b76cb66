// Data that a page shows and keeps fresh: loaded at once, again after a while, and when the server came back. Nothing is
// asked for while the page is hidden.
import { untrack } from 'svelte';
import { Problem, Unreachable } from '../api/client';
import { connection } from './connection.svelte';

/** After a fault of the server's own, which may be over by then. */
const RETRY_MS = 5000;

export class Live<T> {
  data = $state.raw<T>();
  error = $state.raw<Error>();
  /** Set by whoever changed something: loads now. */
  #again = $state(0);

  refresh(): void {
    this.#again += 1;
  }

  /** What an answer to a change said: shown at once. */
  set(data: T): void {
    this.data = data;
    this.error = undefined;
  }

  /** Reads what makes it load again. */
  get trigger(): number {
    return this.#again;
  }
}

/**
 * To be called while a component is made. `load` runs again when what it reads, before its first await, changes.
 * `every` says after how many milliseconds to load again; nothing means never.
 */
export function live<T>(load: (signal: AbortSignal) => Promise<T>, every?: (data: T) => number | undefined): Live<T> {
  const state = new Live<T>();
  $effect(() => {
    void state.trigger;
    void connection.returned;
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const later = (ms: number | undefined) => {
      if (ms !== undefined) timer = setTimeout(() => void (document.hidden ? onceShown() : run()), ms);
    };
    const onceShown = () =>
      document.addEventListener('visibilitychange', () => void run(), { once: true, signal: control.signal });
    const run = async () => {
      try {
        const data = await load(control.signal);
        if (control.signal.aborted) return;
        state.set(data);
        later(every?.(data));
      } catch (error) {
        if (control.signal.aborted) return;
        // While the server is away the last data stay; the banner says so, and its return loads anew.
        if (!(error instanceof Unreachable && untrack(() => state.data !== undefined))) state.error = error as Error;
        if (!(error instanceof Unreachable)) later(again(error));
      }
    };
    void run();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  });
  return state;
}

/** In how many milliseconds it is worth to ask again what was answered so; never, when it was the question that was wrong. */
function again(error: unknown): number | undefined {
  if (error instanceof Problem && error.status < 500 && error.status !== 429) return undefined;
  const asked = error instanceof Problem ? error.retryAfter : undefined;
  return Math.max(RETRY_MS, (asked ?? 0) * 1000);
}
