// What is worth knowing about a credential's value while it is typed: what the sanitizer will say of it once it is saved, by
// the same rules (`actors/src/sanitizer/weakness.rs`; a table of examples is held against both). The value itself goes nowhere.
// Only the sanitizer knows the other values, and so whether this one is a part of them: that comes with the saved credential.

export type Weakness = 'short' | 'numeric' | 'repetitive' | 'common' | 'word';

/** Letters and digits from which on a value is found in every form. */
const ENOUGH = 8;
/** Digits from which on a number is told from others. */
const ENOUGH_DIGITS = 12;
/** Different letters and digits from which on a value is told from a row of a few. */
const ENOUGH_DIFFERENT = 4;

/** Words that every other log has. */
export const COMMON: readonly string[] = `
  password password1 passw0rd changeme changeit default disabled enabled localhost postgres postgresql
  production staging development database username administrator undefined container kubernetes internal
  external readonly readwrite public private secret example sunshine football baseball princess superman
  iloveyou trustno1 letmein welcome welcome1 starwars computer whatever redacted unknown required optional
  security service services customer customers document documents template register anonymous authorization
  credentials credential requests response exception traceback warnings execution application information
  connection connected completed successful succeeded configuration environment test1234 admin123 qwerty123
  qwertyuiop abcdefgh abcd1234 password123
`.trim().split(/\s+/);

const EXACTLY =
  'it is redacted only where it stands exactly as it is, in almost no other form, and wherever harmless text has it as well; take a longer one, or mark it as not secret.';

export const WARNINGS: Readonly<Record<Weakness, string>> = {
  short: `The value has fewer than ${ENOUGH} letters and digits: ${EXACTLY}`,
  numeric: `The value is a short number: ${EXACTLY}`,
  repetitive: `The value has fewer than ${ENOUGH_DIFFERENT} different letters and digits: ${EXACTLY}`,
  common: `The value is a common word: ${EXACTLY}`,
  word: 'The value looks like one word: it is redacted in every form, but not where a single space or line end splits it, since ordinary text may look so.',
};

/** The bytes of a value's letters and digits, in lower case as far as a bit tells: what the sanitizer searches by. */
function squeezed(value: string): Uint8Array {
  const kept = value.match(/[\p{Alphabetic}\p{N}]/gu) ?? [];
  return new TextEncoder().encode(kept.map((letter) => letter.toLowerCase()).join('')).map((byte) => byte | 0x20);
}

/** What is weak about a value by itself. */
export function weakness(value: string): Weakness | undefined {
  const letters = squeezed(value);
  const digits = letters.filter((byte) => byte >= 0x30 && byte <= 0x39).length;
  const number = digits === letters.length;
  const word = value.trim().toLowerCase();
  if (COMMON.includes(word)) return 'common';
  if (number && letters.length > 0 && letters.length < ENOUGH_DIGITS) return 'numeric';
  if (letters.length < ENOUGH) return 'short';
  if (new Set(letters).size < ENOUGH_DIFFERENT) return 'repetitive';
  const cases = (value.match(/\p{Alphabetic}/gu) ?? []).map((letter) => /\p{Uppercase}/u.test(letter));
  const changes = cases.filter((upper, index) => index > 0 && upper !== cases[index - 1]).length;
  const mixed = digits > 0 && !number && (digits > 2 || letters.length >= 10);
  return !number && (mixed || changes > 2 || letters.length >= 16) ? undefined : 'word';
}

export function warnings(value: string, secret: boolean): string[] {
  if (value === '') return [];
  const found: string[] = [];
  if (value !== value.trim()) found.push('It begins or ends with a space or a line break, which becomes part of the value.');
  const weak = secret ? weakness(value) : undefined;
  if (weak) found.push(WARNINGS[weak]);
  return found;
}
