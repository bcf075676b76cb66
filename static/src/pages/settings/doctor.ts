// Reads what doctor says of the sandbox.
export interface Check {
  name: string;
  state: 'good' | 'warn' | 'bad';
  detail: string;
}

/** The checks of a report; none when it is not one. */
export function checks(report: unknown): Check[] {
  if (typeof report !== 'object' || report === null) return [];
  const list = Object.values(report).find(Array.isArray) as unknown[] | undefined;
  return (list ?? []).flatMap((item) => {
    if (typeof item !== 'object' || item === null) return [];
    const { name, ok, status, detail } = item as Record<string, unknown>;
    if (typeof name !== 'string') return [];
    const state = ok === true || status === 'ok' ? 'good' : status === 'warn' ? 'warn' : 'bad';
    return [{ name, state, detail: typeof detail === 'string' ? detail : '' } as Check];
  });
}
