// One way to the server. Every call is to this origin, below wherever the page itself is.

/** What the server said when it refused (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** What kind of problem it is, such as `wrong-password`. */
    readonly kind: string,
    readonly title: string,
    detail: string,
    /** The fields of the request that were wrong, by name. */
    readonly fields: ReadonlyMap<string, string>,
    /** Seconds after which it may be tried again. */
    readonly retryAfter: number | undefined,
    /** The profiles that stand in the way. */
    readonly profiles: readonly string[] = [],
  ) {
    super(detail || title);
  }
}

/** Nothing answered. */
export class Unreachable extends Error {
  constructor() {
    super('Airlock can’t be reached.');
  }
}

/** What the client tells the rest of the page. */
export interface Observer {
  /** The session is over. Resolves once there is another, and the call is then made again. */
  sessionEnded(): Promise<void>;
  /** How many sessions there were: what a call of a former one was told says nothing about the present one. */
  sessions(): number;
  /** Whether the last call got an answer. */
  reached(answered: boolean): void;
}

let observer: Observer | undefined;

export function observe(by: Observer): void {
  observer = by;
}

/** No call takes so long: the longest wait that is asked for is 20 seconds. Who has not answered by then is not there. */
const GIVE_UP_MS = 60_000;

export interface Options {
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** For the calls that open a session: a 401 of theirs is about the password. */
  anonymous?: boolean;
}

export function address(path: string): URL {
  return new URL(path, document.baseURI);
}

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const sessions = observer?.sessions();
  const response = await send(method, path, options);
  if (!response.ok) {
    const refusal = problem(response);
    // A wrong password is a 401 too, of another kind.
    if (refusal.kind !== 'unauthorized' || options.anonymous || !observer) throw refusal;
    if (observer.sessions() === sessions) await observer.sessionEnded();
    return call<T>(method, path, options);
  }
  return (response.text === '' ? undefined : parse(response.text)) as T;
}

interface Answered {
  ok: boolean;
  status: number;
  headers: Headers;
  text: string;
}

/** One exchange, to its last byte: a server that goes in the middle of an answer is as unreachable as one that was gone. */
async function send(method: string, path: string, { body, signal }: Options): Promise<Answered> {
  const init: RequestInit = { method, credentials: 'same-origin', cache: 'no-store', redirect: 'error' };
  const late = AbortSignal.timeout(GIVE_UP_MS);
  init.signal = signal ? AbortSignal.any([signal, late]) : late;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'content-type': 'application/json' };
  }
  try {
    const response = await fetch(address(path), init);
    const { ok, status, headers } = response;
    const text = await response.text();
    // A proxy that stands in for a server that is gone says 502 or 504.
    const answered = status !== 502 && status !== 504;
    observer?.reached(answered);
    if (!answered) throw new Unreachable();
    return { ok, status, headers, text };
  } catch (error) {
    if (signal?.aborted || error instanceof Unreachable) throw error;
    observer?.reached(false);
    throw new Unreachable();
  }
}

function problem(response: Answered): Problem {
  let body: Record<string, unknown> = {};
  try {
    const read: unknown = JSON.parse(response.text);
    if (typeof read === 'object' && read !== null) body = read as Record<string, unknown>;
  } catch {
    // Not JSON: the status has to do.
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const after = Number(response.headers.get('retry-after') ?? NaN);
  return new Problem(
    response.status,
    text(body['type']).replace('urn:airlock:problem:', ''),
    text(body['title']) || `The server answered ${response.status}.`,
    text(body['detail']),
    faults(body['errors']),
    Number.isFinite(after) ? after : undefined,
    Array.isArray(body['profiles']) ? body['profiles'].map(String) : [],
  );
}

function faults(errors: unknown): Map<string, string> {
  const found = new Map<string, string>();
  if (!Array.isArray(errors)) return found;
  for (const error of errors as unknown[]) {
    if (typeof error !== 'object' || error === null) continue;
    const { field, problem } = error as Record<string, unknown>;
    if (typeof field === 'string' && typeof problem === 'string') found.set(field, problem);
  }
  return found;
}

/** A number that this language can't hold without changing it: kept as it was written. */
export class ExactNumber {
  constructor(readonly text: string) {}
}

/** JSON in which no number is changed, where the browser tells how each was written. */
export function parse(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined || String(value) === source) return value;
    return new ExactNumber(source);
  });
}
