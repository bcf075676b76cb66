// The stretches of time that executions can be narrowed to.
export interface Span {
  value: string;
  name: string;
  ms: number;
}

const HOUR = 3_600_000;
export const SPANS: Span[] = [
  { value: '1h', name: 'Last hour', ms: HOUR },
  { value: '24h', name: 'Last 24 hours', ms: 24 * HOUR },
  { value: '7d', name: 'Last 7 days', ms: 7 * 24 * HOUR },
  { value: '30d', name: 'Last 30 days', ms: 30 * 24 * HOUR },
];
