// Tells the parts of Python source apart, for colour. It only has to be right about where strings and comments end; a
// script that is no Python comes out as some colours, never as anything else than its own text.

export type Kind = 'plain' | 'comment' | 'string' | 'number' | 'keyword' | 'name' | 'airlock';
export interface Token {
  kind: Kind;
  text: string;
}

const KEYWORDS = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global ' +
    'if import in is lambda match case nonlocal not or pass raise return try while with yield'
  ).split(' '),
);
/** What Airlock gives a script. */
const AIRLOCK = new Set(['settings', 'set_result', 'llm', 'airlock']);

// Each part of a string is a run that can end in one way only, so that a megabyte of it is read once.
const PREFIX = '(?:\\b[rRbBuUfFtT]{1,2})?';
const STRINGS = [
  String.raw`"""(?:[^"\\]+|\\[^]|"(?!""))*(?:"""|$)`,
  String.raw`'''(?:[^'\\]+|\\[^]|'(?!''))*(?:'''|$)`,
  String.raw`"(?:[^"\\\n]+|\\[^])*"?`,
  String.raw`'(?:[^'\\\n]+|\\[^])*'?`,
];
const TOKEN = new RegExp(
  [
    String.raw`(?<comment>#[^\n]*)`,
    `(?<string>${PREFIX}(?:${STRINGS.join('|')}))`,
    String.raw`(?<number>\b(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?j?)\b)`,
    String.raw`(?<word>[\p{L}_][\p{L}\p{N}_]*)`,
  ].join('|'),
  'gu',
);

/** The source line by line, each line as tokens. */
export function lines(source: string): Token[][] {
  const all: Token[][] = [[]];
  const add = (kind: Kind, text: string) => {
    const parts = text.split('\n');
    parts.forEach((part, index) => {
      if (index > 0) all.push([]);
      if (part !== '') all.at(-1)?.push({ kind, text: part });
    });
  };
  let from = 0;
  for (const match of source.matchAll(TOKEN)) {
    if (match.index > from) add('plain', source.slice(from, match.index));
    add(kindOf(match), match[0]);
    from = match.index + match[0].length;
  }
  if (from < source.length) add('plain', source.slice(from));
  return all;
}

function kindOf({ groups = {}, 0: text }: RegExpMatchArray): Kind {
  if (groups['comment']) return 'comment';
  if (groups['number']) return 'number';
  if (groups['string']) return 'string';
  if (KEYWORDS.has(text)) return 'keyword';
  return AIRLOCK.has(text) ? 'airlock' : 'name';
}

/** The line that failed, as a traceback or an error names it last. */
export function failingLine(traceback: string | undefined, error: string | null | undefined): number | undefined {
  const named = [...(traceback ?? '').matchAll(/line (\d+)/g)].at(-1) ?? /\(line (\d+)\)/.exec(error ?? '');
  return named ? Number(named[1]) : undefined;
}
