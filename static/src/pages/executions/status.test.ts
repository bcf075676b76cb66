import { expect, it } from 'vitest';
import { timeline } from './timeline';
import { unknown } from './status';

const usage = { cpu_ms: 1, max_rss_bytes: 1 };

it.each([
  ['running', undefined, undefined, /ended/],
  ['awaiting_llm', undefined, undefined, /ended/],
  ['completed', undefined, usage, undefined],
  ['cancelled', 'Cancelled', undefined, undefined],
  ['error', 'Interrupted', undefined, /lost/],
  ['error', 'Interrupted', usage, undefined],
  ['error', 'WorkerLost', usage, /lost/],
] as const)('what an execution did is known: %s, %s', (status, error_type, used, says) => {
  const said = unknown({ status, ...(error_type && { error_type }), ...(used && { usage: used }) });
  if (says) expect(said).toMatch(says);
  else expect(said).toBeUndefined();
});

it('the timeline says when a replayed script was started once more', () => {
  const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`;
  const told = (attempts: number) =>
    timeline({
      execution_id: 'exec_1',
      profile_id: 'ark_1',
      status: 'running',
      created_at: at(0),
      started_at: at(4),
      script: '',
      redactions: [],
      suspicious: false,
      attempts,
      llm_exchanges: [{ id: 'llm_1', prompt: '', model: '', asked_at: at(1), answered_at: at(2) }],
    }).map(({ says, after }) => [says, after]);
  const before = [['Accepted', 0], ['Asked the LLM (1)', 1000], ['Was answered (1)', 2000]];
  expect(told(2)).toEqual([...before, ['Started again', 4000]]);
  expect(told(1)).toEqual([...before, ['Started', 4000]]);
});
