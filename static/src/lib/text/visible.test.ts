import { describe, expect, it } from 'vitest';
import { hasHidden, pieces } from './visible';

const shown = (text: string) => pieces(text).map((piece) => (piece.name === undefined ? piece.text : `[${piece.text}]`)).join('');

describe('hidden characters', () => {
  it.each([
    ['invoice\u202egnp.exe', 'invoice[U+202E]gnp.exe'],
    ['a\u2066b\u2069', 'a[U+2066]b[U+2069]'],
    ['pay\u200bpal', 'pay[U+200B]pal'],
    ['\ufeffx', '[U+FEFF]x'],
    ['x\u3164', 'x[U+3164]'],
    ['red \u001b[31m', 'red [\u241b][31m'],
    ['nul\u0000', 'nul[\u2400]'],
    ['del\u007f', 'del[\u2421]'],
    ['csi\u009b', 'csi[U+009B]'],
    ['tag\u{e0041}', 'tag[U+E0041]'],
    ['sel\u{e0100}', 'sel[U+E0100]'],
    ['line\u2028sep', 'line[U+2028]sep'],
    ['lone\ud800', 'lone[U+D800]'],
    ['over\rwritten', 'over[\u240d]written'],
  ])('names what is in %j', (text, expected) => {
    expect(shown(text)).toBe(expected);
    expect(hasHidden(text)).toBe(true);
  });

  it.each(['plain', 'tab\tand\nline', 'windows\r\nline', 'ünïcödé עברית 漢字', 'emoji 😀 ❤️', ''])('leaves %j alone', (text) => {
    expect(shown(text)).toBe(text);
    expect(hasHidden(text)).toBe(false);
  });
});
