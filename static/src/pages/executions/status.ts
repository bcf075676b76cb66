import type { ExecutionStatus } from '../../lib/api/types';

const FINAL = new Set<ExecutionStatus>(['completed', 'error', 'timeout', 'cancelled']);

/** Whether a status is never left again. */
export function isFinal(status: ExecutionStatus): boolean {
  return FINAL.has(status);
}
