import { expect, it } from 'vitest';
import { rows, WIDEST } from './rows';

const text = (all: ReturnType<typeof rows>) => all.map(({ number, tokens }) => [number, tokens.map((token) => token.text).join('')]);

it('numbers lines and drops the last line end', () => {
  expect(text(rows('a\n\nb\n', false))).toEqual([
    [1, 'a'],
    [2, ''],
    [3, 'b'],
  ]);
});

it('cuts a line at the width and not before', () => {
  expect(rows('x'.repeat(WIDEST), false)).toHaveLength(1);
  const cut = text(rows(`${'x'.repeat(WIDEST + 1)}\ny`, false));
  expect(cut.map(([number]) => number)).toEqual([1, undefined, 2]);
  expect(cut[1]?.[1]).toBe('x');
});

it('cuts no character in two', () => {
  const line = `${'x'.repeat(WIDEST - 1)}😀${'y'.repeat(WIDEST)}😀`;
  const all = text(rows(line, false)).map(([, part]) => String(part));
  expect(all.join('')).toBe(line);
  for (const part of all) expect(encodeURIComponent(part)).not.toBe('');
});

it('keeps a script as it is, over all its cuts', () => {
  const source = `x = "${'é😀'.repeat(2000)}"  # ${'z'.repeat(3000)}`;
  expect(text(rows(source, true)).map(([, part]) => part).join('')).toBe(source);
});

it('takes a megabyte in one line', () => {
  expect(rows('z'.repeat(1024 * 1024), false)).toHaveLength(Math.ceil((1024 * 1024) / WIDEST));
});
