// What is worth knowing about a credential's value while it is typed, by the rules that are quick to tell. What the sanitizer
// itself finds comes with the saved credential.

/** Letters and digits from which on a value is found in every form. */
const ENOUGH = 8;
/** Digits from which on a number is told from others. */
const ENOUGH_DIGITS = 12;

export function warnings(value: string, secret: boolean): string[] {
  if (value === '') return [];
  const found: string[] = [];
  if (value !== value.trim()) found.push('It begins or ends with a space or a line break, which becomes part of the value.');
  if (!secret) return found;
  const letters = value.match(/[\p{L}\p{N}]/gu) ?? [];
  const elsewhere = 'It is redacted only where it stands exactly so, and wherever harmless text has it too';
  if (letters.length < ENOUGH) {
    found.push(`${elsewhere}: it has fewer than ${ENOUGH} letters and digits.`);
  } else if (letters.length < ENOUGH_DIGITS && letters.every((letter) => /\d/.test(letter))) {
    found.push(`${elsewhere}: it is a short number.`);
  } else if (new Set(letters).size === 1) {
    found.push(`${elsewhere}: it repeats one character.`);
  }
  return found;
}
