import { expect, it } from 'vitest';
import { bytes, count, distance, duration, shortId } from './format';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [1024 * 1024 * 1.25, '1.3 MiB'],
  [512 * 1024 * 1024, '512 MiB'],
])('%d bytes are %s', (size, text) => expect(bytes(size)).toBe(text));

it.each([
  [0, '0 ms'],
  [7.4, '7 ms'],
  [999, '999 ms'],
  [1000, '1 s'],
  [1250, '1.25 s'],
  [59_900, '59.9 s'],
  [59_960, '1 min'],
  [200_000, '3 min 20 s'],
  [3_600_000, '1 h'],
  [7_500_000, '2 h 5 min'],
  [86_400_000 * 3 + 3_600_000 * 4, '3 d 4 h'],
])('%d ms are %s', (ms, text) => expect(duration(ms)).toBe(text));

it.each([
  [0, 'just now'],
  [1_400, 'just now'],
  [12_000, '12 s ago'],
  [-12_000, 'in 12 s'],
  [61_000, '1 min ago'],
  [3_600_000 * 30, '30 h ago'],
  [-86_400_000 * 90, 'in 90 d'],
])('%d ms back is %s', (back, text) => expect(distance(1e12 - back, 1e12)).toBe(text));

it('counts and shortens', () => {
  expect(count(1, 'profile')).toBe('1 profile');
  expect(count(1200, 'profile')).toBe('1,200 profiles');
  expect(count(2, 'more', 'more')).toBe('2 more');
  expect(shortId('ark_abcdefghijklmnopqrstuvwx')).toBe('ark_abcdef…uvwx');
  expect(shortId('short')).toBe('short');
});
