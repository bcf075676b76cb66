// How hard a password is to guess, roughly: bits by the characters it draws from, less for what repeats or is in a row.
export const SHORTEST = 8;

export interface Strength {
  /** 0 to 4. */
  score: number;
  words: string;
}

const CLASSES: [RegExp, number][] = [
  [/[a-z]/, 26],
  [/[A-Z]/, 26],
  [/\d/, 10],
  [/[^a-zA-Z\d]/, 33],
];
const USUAL = /pass|word|admin|airlock|qwert|asdf|letmein|welcome|secret|1234|abcd|monkey|dragon/i;

export function strength(password: string): Strength {
  if ([...password].length < SHORTEST) return { score: 0, words: `At least ${SHORTEST} characters` };
  const drawn = CLASSES.filter(([kind]) => kind.test(password)).reduce((sum, [, size]) => sum + size, 0);
  let bits = 0;
  let before = NaN;
  let read = '';
  for (const character of password) {
    const code = character.codePointAt(0) ?? 0;
    const inRow = Math.abs(code - before) <= 1;
    // The third character on of something that was there before.
    const repeats = read.length > 2 && read.includes(read.slice(-2) + character);
    bits += inRow || repeats ? 1 : Math.log2(drawn);
    before = code;
    read += character;
  }
  if (USUAL.test(password)) bits -= 20;
  const score = bits < 40 ? 1 : bits < 60 ? 2 : bits < 80 ? 3 : 4;
  return { score, words: ['', 'Easy to guess', 'Fair', 'Good', 'Strong'][score] ?? '' };
}
