import { expect, it } from 'vitest';
import { href, parse } from './router.svelte';

it.each([
  ['', 'overview', undefined, ''],
  ['#/', 'overview', undefined, ''],
  ['#/profiles', 'profiles', undefined, ''],
  ['#/profiles/ark_1', 'profiles', 'ark_1', ''],
  ['#/executions?status=error&span=1h', 'executions', undefined, 'status=error&span=1h'],
  ['#/a%2Fb/c%20d', 'a/b', 'c d', ''],
  ['#/%zz', '%zz', undefined, ''],
])('%s', (hash, page, id, query) => {
  const place = parse(hash);
  expect([place.page, place.id, place.query.toString()]).toEqual([page, id, query]);
});

it('makes addresses that are read back', () => {
  expect(parse(href('executions', 'exec_a/b?c'))).toMatchObject({ page: 'executions', id: 'exec_a/b?c' });
});
