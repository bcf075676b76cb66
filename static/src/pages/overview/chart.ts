// The geometry of the chart: bars of outcomes over time, as numbers in an SVG's own units.
import type { Bucket } from '../../lib/api/types';

export const OUTCOMES = ['completed', 'error', 'timeout', 'cancelled'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface Bar {
  bucket: Bucket;
  x: number;
  width: number;
  parts: { outcome: Outcome; y: number; height: number }[];
}

export const WIDTH = 1000;
export const HEIGHT = 160;
/** Whatever happened is seen, however little it is of the whole. */
const LEAST = 2;

export function total(bucket: Bucket): number {
  return OUTCOMES.reduce((sum, outcome) => sum + bucket[outcome], 0);
}

/** The top of the scale: the next 1, 2 or 5 times a power of ten. */
export function ceiling(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= most) ?? 10;
  return Math.max(1, step * power);
}

export function bars(buckets: Bucket[]): { top: number; bars: Bar[] } {
  const top = ceiling(Math.max(0, ...buckets.map(total)));
  const step = WIDTH / Math.max(1, buckets.length);
  const gap = Math.min(3, step * 0.2);
  return {
    top,
    bars: buckets.map((bucket, index) => {
      let y = HEIGHT;
      const parts = OUTCOMES.filter((outcome) => bucket[outcome] > 0).map((outcome) => {
        const height = Math.max(LEAST, (bucket[outcome] / top) * HEIGHT);
        y -= height;
        return { outcome, y, height };
      });
      return { bucket, x: index * step + gap / 2, width: step - gap, parts };
    }),
  };
}

/** The name of a stretch of time: its clock time, with the day where the window is longer than one. */
export function label(start: string, windowSeconds: number): string {
  const at = new Date(start);
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  if (windowSeconds <= 86_400) return time;
  return `${at.toLocaleDateString(undefined, { weekday: 'short', day: 'numeric', month: 'short' })}, ${time}`;
}
