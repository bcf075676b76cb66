// The executions of a filter as far back as they were looked at. The newest page is asked for again and again and laid over
// what is known; what runs beyond it is asked for one by one.
import { executions as api, type ExecutionFilter } from '../../lib/api/endpoints';
import type { ExecutionStatus, ListedExecution } from '../../lib/api/types';
import type { Span } from './spans';
import { isFinal } from './status';

export interface Filter {
  profile: string | undefined;
  status: ExecutionStatus | undefined;
  span: Span | undefined;
}

const PAGE = 100;
/** Executions beyond the newest page that are looked after each time. */
const BEYOND = 5;

export class History {
  items = $state.raw<ListedExecution[]>([]);
  complete = $state(false);
  #cursor: string | undefined;
  #filter: Filter | undefined;
  /** The older page that is on its way. One of a list that was begun anew since would leave a gap, so it is dropped. */
  #loading: object | undefined;

  async refresh(filter: Filter, signal: AbortSignal): Promise<void> {
    const page = await api.page(asked(filter), signal);
    signal.throwIfAborted();
    const same = this.#filter !== undefined && sameFilter(this.#filter, filter);
    this.#filter = filter;
    const merged = same && page.next_cursor !== undefined ? merge(this.items, page.executions) : undefined;
    if (merged) {
      this.items = merged;
    } else {
      this.#loading = undefined;
      this.items = page.executions;
      this.#cursor = page.next_cursor;
      this.complete = page.next_cursor === undefined;
    }
    await this.#lookAfter(page.executions.at(-1)?.execution_id, signal);
  }

  /** Loads the next older page, unless it is on its way. */
  async more(): Promise<void> {
    if (this.#loading || this.#cursor === undefined || !this.#filter) return;
    const mine = (this.#loading = {});
    try {
      const page = await api.page({ ...asked(this.#filter), cursor: this.#cursor });
      if (this.#loading !== mine) return;
      this.items = [...this.items, ...page.executions];
      this.#cursor = page.next_cursor;
      this.complete = page.next_cursor === undefined;
    } catch {
      // Asked for again as long as the end is in sight; the refresh says what is wrong.
    } finally {
      if (this.#loading === mine) this.#loading = undefined;
    }
  }

  async #lookAfter(oldest: string | undefined, signal: AbortSignal): Promise<void> {
    const beyond = this.items.filter(({ execution_id, status }) => !isFinal(status) && oldest && execution_id < oldest);
    const seen = await Promise.all(beyond.slice(0, BEYOND).map(({ execution_id }) => api.one(execution_id, signal)));
    signal.throwIfAborted();
    if (seen.length === 0) return;
    const fresh = new Map(seen.map((execution) => [execution.execution_id, execution]));
    this.items = this.items.map((item) => fresh.get(item.execution_id) ?? item);
  }
}

function asked({ profile, status, span }: Filter): ExecutionFilter {
  const since = span && new Date(Date.now() - span.ms).toISOString();
  return { profile, status, since, limit: PAGE };
}

function sameFilter(one: Filter | undefined, other: Filter): boolean {
  return one?.profile === other.profile && one?.status === other.status && one?.span === other.span;
}

/**
 * The newest page over the older items; ids sort by time. Nothing when the two don't meet: then too much has happened since.
 * What the page does not have although it is as new was deleted, or is not of the filter's kind any more, and goes.
 */
export function merge(known: ListedExecution[], newest: ListedExecution[]): ListedExecution[] | undefined {
  const oldest = newest.at(-1)?.execution_id ?? '';
  if (!known.some(({ execution_id }) => execution_id >= oldest)) return undefined;
  return [...newest, ...known.filter(({ execution_id }) => execution_id < oldest)];
}
