import { expect, it } from 'vitest';
import type { ListedExecution } from '../../lib/api/types';
import { merge } from './history.svelte';

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
