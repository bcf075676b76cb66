import { afterEach, expect, it, vi } from 'vitest';
import { executions as api } from '../../lib/api/endpoints';
import type { ListedExecution } from '../../lib/api/types';
import { History, merge } from './history.svelte';

afterEach(() => void vi.restoreAllMocks());

const list = (...ids: number[]) =>
  ids.map((id) => ({ execution_id: `exec_${id}`, status: 'completed' }) as ListedExecution);
const ids = (items: ListedExecution[] | undefined) => items?.map(({ execution_id }) => Number(execution_id.slice(5)));

it('lays the newest page over what is known', () => {
  expect(ids(merge(list(5, 4, 3, 2, 1), list(7, 6, 5, 4)))).toEqual([7, 6, 5, 4, 3, 2, 1]);
});

it('drops what the page does not have any more', () => {
  expect(ids(merge(list(5, 4, 3, 2), list(6, 5, 3)))).toEqual([6, 5, 3, 2]);
});

it('begins anew when too much has happened', () => {
  expect(merge(list(3, 2, 1), list(9, 8, 7))).toBeUndefined();
  expect(merge([], list(9))).toBeUndefined();
});

const all = { profile: undefined, status: undefined, span: undefined };
const { signal } = new AbortController();

it('drops an older page of a list that was begun anew meanwhile, and loads the right one', async () => {
  const page = vi.spyOn(api, 'page');
  const history = new History();
  page.mockResolvedValueOnce({ executions: list(9, 8, 7), next_cursor: '7' });
  await history.refresh(all, signal);

  let answer: (page: Awaited<ReturnType<typeof api.page>>) => void = () => undefined;
  page.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
  const late = history.more();
  page.mockResolvedValueOnce({ executions: list(99, 98, 97), next_cursor: '97' });
  await history.refresh(all, signal);
  // What is on its way is of no list any more, and holds nothing up.
  page.mockResolvedValueOnce({ executions: list(96, 95), next_cursor: '95' });
  await history.more();
  expect(page).toHaveBeenLastCalledWith(expect.objectContaining({ cursor: '97' }));
  answer({ executions: list(6, 5), next_cursor: '5' });
  await late;
  expect(ids(history.items)).toEqual([99, 98, 97, 96, 95]);
});

it('asks again for an older page that failed, and for one at a time', async () => {
  const page = vi.spyOn(api, 'page');
  const history = new History();
  page.mockResolvedValueOnce({ executions: list(3), next_cursor: '3' });
  await history.refresh(all, signal);
  page.mockRejectedValueOnce(new Error('no'));
  await Promise.all([history.more(), history.more()]);
  expect(page).toHaveBeenCalledTimes(2);
  page.mockResolvedValueOnce({ executions: list(2, 1) });
  await history.more();
  expect(ids(history.items)).toEqual([3, 2, 1]);
  expect(history.complete).toBe(true);
});
