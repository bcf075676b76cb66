// The moments of an execution's life, in their order.
import type { Execution } from '../../lib/api/types';

export interface Moment {
  at: string;
  says: string;
  /** Milliseconds since it was accepted. */
  after: number;
}

const ENDS: Record<string, string> = {
  completed: 'Completed',
  error: 'Failed',
  timeout: 'Ran out of time',
  cancelled: 'Cancelled',
};

export function timeline(execution: Execution): Moment[] {
  const found: [string | null | undefined, string][] = [
    [execution.created_at, 'Accepted'],
    [execution.started_at, (execution.attempts ?? 1) > 1 ? 'Started again' : 'Started'],
  ];
  execution.llm_exchanges?.forEach(({ asked_at, answered_at }, index) => {
    found.push([asked_at, `Asked the LLM (${index + 1})`], [answered_at, `Was answered (${index + 1})`]);
  });
  found.push([execution.completed_at, ENDS[execution.status] ?? 'Ended']);
  const start = Date.parse(execution.created_at);
  return found
    .filter((moment): moment is [string, string] => typeof moment[0] === 'string')
    .map(([at, says]) => ({ at, says, after: Date.parse(at) - start }))
    .sort((one, other) => one.after - other.after);
}
