import { expect, it } from 'vitest';
import type { Bucket } from '../../lib/api/types';
import { bars, ceiling, HEIGHT, WIDTH } from './chart';

const bucket = (completed: number, error = 0): Bucket => ({
  start: `2026-01-01T00:00:0${completed}Z`,
  completed,
  error,
  timeout: 0,
  cancelled: 0,
  p50_ms: null,
  p95_ms: null,
});

it.each([
  [0, 1],
  [1, 1],
  [3, 5],
  [10, 10],
  [11, 20],
  [501, 1000],
])('a scale for %d ends at %d', (most, top) => expect(ceiling(most)).toBe(top));

it('stacks outcomes from the floor up, within the frame', () => {
  const { bars: all } = bars([bucket(6, 2), bucket(0), bucket(0, 1)]);
  expect(all.map(({ parts }) => parts.length)).toEqual([2, 0, 1]);
  expect(all[0]?.parts[0]).toMatchObject({ outcome: 'completed', y: HEIGHT * 0.4, height: HEIGHT * 0.6 });
  for (const { x, width, parts } of all) {
    expect(x >= 0 && x + width <= WIDTH).toBe(true);
    for (const { y, height } of parts) expect(y >= 0 && y + height <= HEIGHT + 0.01).toBe(true);
  }
});

it('shows one of ten thousand', () => {
  const { bars: all } = bars([bucket(9999, 1)]);
  expect(all[0]?.parts[1]?.height).toBeGreaterThanOrEqual(2);
});
