import { expect, it } from 'vitest';
// The sanitizer is held against the same table.
import table from '../../../../tests/vectors/weak_values.json';
import { COMMON, WARNINGS, warnings, weakness } from './value';

it('warns in the sanitizer’s words, of the words it knows', () => {
  expect(WARNINGS).toEqual(table.warnings);
  expect(COMMON).toEqual(table.common);
});

it.each(table.values)('takes $value for as weak as the sanitizer does: $weakness', ({ value, weakness: weak }) => {
  expect(weakness(value) ?? null).toBe(weak);
});

it('says so while it is typed, and of a plain value only what matters to it', () => {
  expect(warnings('', true)).toEqual([]);
  expect(warnings('short12', true)).toEqual([table.warnings.short]);
  expect(warnings('short12', false)).toEqual([]);
  expect(warnings(' short12', true)).toHaveLength(2);
  expect(warnings('line\n', false)).toHaveLength(1);
  expect(warnings('hK3x9Qz7', true)).toEqual([]);
});
