// Makes what can't be seen in a text visible: control characters, and those with which a text can be made to look like
// another one (Unicode TR 36: bidirectional controls, zero-width and tag characters).

/** A stretch of ordinary text, or one character that is named instead of shown. */
export type Piece = { text: string; name?: undefined } | { text: string; name: string };

const NAMES = new Map<number, string>([
  [0x00ad, 'soft hyphen'],
  [0x034f, 'combining grapheme joiner'],
  [0x061c, 'Arabic letter mark'],
  [0x115f, 'Hangul filler'],
  [0x1160, 'Hangul filler'],
  [0x17b4, 'invisible vowel'],
  [0x17b5, 'invisible vowel'],
  [0x180e, 'Mongolian vowel separator'],
  [0x200b, 'zero-width space'],
  [0x200c, 'zero-width non-joiner'],
  [0x200d, 'zero-width joiner'],
  [0x200e, 'left-to-right mark'],
  [0x200f, 'right-to-left mark'],
  [0x2028, 'line separator'],
  [0x2029, 'paragraph separator'],
  [0x202a, 'left-to-right embedding'],
  [0x202b, 'right-to-left embedding'],
  [0x202c, 'end of bidirectional formatting'],
  [0x202d, 'left-to-right override'],
  [0x202e, 'right-to-left override'],
  [0x2066, 'left-to-right isolate'],
  [0x2067, 'right-to-left isolate'],
  [0x2068, 'first strong isolate'],
  [0x2069, 'end of isolate'],
  [0x2800, 'blank braille pattern'],
  [0x3164, 'Hangul filler'],
  [0xfeff, 'zero-width no-break space'],
  [0xffa0, 'Hangul filler'],
]);

// Everything named above; other invisible formatting; the controls but tab and line feed; tags and variation selectors
// beyond the first sixteen, in which whole texts have been hidden.
const HIDDEN =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

/** Splits a text at its hidden characters. A carriage return before a line feed is only a Windows line end. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match[0] === '\r' && text[match.index + 1] === '\n') continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push(named(match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

function named(character: string): Piece {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return { text: String.fromCodePoint(0x2400 + code), name: `control character ${hex(code)}` };
  if (code === 0x7f) return { text: '\u2421', name: `control character ${hex(code)}` };
  return { text: hex(code), name: NAMES.get(code) ?? 'invisible character' };
}

function hex(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Whether a text has something that can't be seen. */
export function hasHidden(text: string): boolean {
  return pieces(text).some((piece) => piece.name !== undefined);
}
