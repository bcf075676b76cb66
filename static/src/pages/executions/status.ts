import type { Execution, ExecutionStatus } from '../../lib/api/types';

const FINAL = new Set<ExecutionStatus>(['completed', 'error', 'timeout', 'cancelled']);

/** Whether a status is never left again. */
export function isFinal(status: ExecutionStatus): boolean {
  return FINAL.has(status);
}

/** Why it is not known what an execution did, where nothing is said of it: nothing to be taken for a clean record. */
export function unknown(of: Pick<Execution, 'status' | 'error_type' | 'usage'>): string | undefined {
  if (!isFinal(of.status)) return 'Known when it has ended';
  // Ended in good order, a server that stops still takes the record of what it interrupts.
  const lost = of.error_type === 'WorkerLost' || (of.error_type === 'Interrupted' && of.usage === undefined);
  return lost ? 'Not known: the record of it was lost' : undefined;
}
