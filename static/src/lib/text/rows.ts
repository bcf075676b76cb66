// Text as rows of one height: its lines, and long lines cut into several rows, so that a megabyte in one line costs no more
// than a megabyte in many.
import { lines, type Token } from './python';

export interface Row {
  /** The line's number; none on the rows that go on with a line. */
  number: number | undefined;
  tokens: Token[];
}

/** Characters in a row. */
export const WIDEST = 1000;

export function rows(text: string, python: boolean): Row[] {
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  const split = python ? lines(body) : body.split('\n').map((line): Token[] => [{ kind: 'plain', text: line }]);
  return split.flatMap((tokens, index) => cut(tokens, index + 1));
}

function cut(tokens: Token[], number: number): Row[] {
  const all: Row[] = [{ number, tokens: [] }];
  let room = WIDEST;
  for (const { kind, text } of tokens) {
    for (let from = 0; from < text.length; ) {
      if (room === 0) {
        all.push({ number: undefined, tokens: [] });
        room = WIDEST;
      }
      let part = text.slice(from, from + room);
      // Not between the halves of a character.
      if (part.length > 1 && /[\ud800-\udbff]$/.test(part) && from + part.length < text.length) part = part.slice(0, -1);
      all.at(-1)?.tokens.push({ kind, text: part });
      from += part.length;
      room = Math.max(0, room - part.length);
      if (from < text.length) room = 0;
    }
  }
  return all;
}
