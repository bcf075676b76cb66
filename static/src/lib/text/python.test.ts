import { describe, expect, it } from 'vitest';
import { failingLine, lines } from './python';

const kinds = (source: string) =>
  lines(source).map((line) => line.filter(({ kind }) => kind !== 'plain' && kind !== 'name').map(({ kind, text }) => `${kind}:${text}`));

describe('highlighting', () => {
  it('tells the parts of a line apart', () => {
    expect(kinds('def f(x): return settings["A"] + 1.5e3  # why')).toEqual([
      ['keyword:def', 'keyword:return', 'airlock:settings', 'string:"A"', 'number:1.5e3', 'comment:# why'],
    ]);
  });

  it.each([
    ["x = 'it\\'s' + \"#no\"", ["string:'it\\'s'", 'string:"#no"']],
    ['rb"\\d" f\'{x}\'', ['string:rb"\\d"', "string:f'{x}'"]],
    ["'open", ["string:'open"]],
    ['x1 = 0xFF_00', ['number:0xFF_00']],
    ['define = None', ['keyword:None']],
  ])('reads %j', (source, expected) => expect(kinds(source)).toEqual([expected]));

  it('carries a string over its lines', () => {
    expect(kinds('"""a\n# b\n"""\nc = 1')).toEqual([['string:"""a'], ['string:# b'], ['string:"""'], ['number:1']]);
  });

  it.each(['"""', "'''", '"', '#', '\\', '("', 'x'])('gives back a megabyte of %j as it was', (part) => {
    const source = `${part}${'ab\\" \' \n'.repeat(130_000)}`;
    expect(lines(source).map((line) => line.map(({ text }) => text).join('')).join('\n')).toBe(source);
  });
});

describe('the failing line', () => {
  it.each([
    ['line 3, in f\n  x\nline 9, in g', 'E: x (line 9)', 9],
    [undefined, "NameError: name 'x' is not defined (line 12)", 12],
    [undefined, 'It ran out of time.', undefined],
    [undefined, null, undefined],
  ])('of %j and %j is %j', (traceback, error, line) => expect(failingLine(traceback, error)).toBe(line));
});
