// What a page shows and keeps fresh, when the server has a bad moment.
import { cleanup, render, screen } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Problem, Unreachable } from '../api/client';
import { connection } from './connection.svelte';
import Shown from './Shown.test.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const problem = (status: number, after?: number) => new Problem(status, 'kind', 'No', '', new Map(), after);
const settle = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms);
  flushSync();
};

it('asks again by itself after a fault of the server’s, and not before the wait it asked for', async () => {
  const load = vi.fn<() => Promise<string>>();
  load.mockRejectedValueOnce(problem(500)).mockRejectedValueOnce(problem(429, 9)).mockResolvedValue('there');
  render(Shown, { load });
  await settle(0);
  expect(screen.getByRole('alert').textContent).toBe('No');
  await settle(5000);
  expect(load).toHaveBeenCalledTimes(2);
  await settle(8999);
  expect(load).toHaveBeenCalledTimes(2);
  await settle(1);
  expect(screen.getByText('there')).toBeTruthy();
  expect(screen.queryByRole('alert')).toBeNull();
});

it('does not repeat a question that was wrong', async () => {
  const load = vi.fn<() => Promise<string>>().mockRejectedValue(problem(404));
  render(Shown, { load });
  await settle(600_000);
  expect(load).toHaveBeenCalledOnce();
});

it('keeps what it has while the server is away, and loads anew when it is back', async () => {
  const load = vi.fn<() => Promise<string>>().mockResolvedValueOnce('old').mockRejectedValueOnce(new Unreachable());
  load.mockResolvedValue('new');
  render(Shown, { load, every: 1000 });
  await settle(1000);
  expect(screen.getByText('old')).toBeTruthy();
  expect(screen.queryByRole('alert')).toBeNull();
  connection.reached(false);
  connection.reached(true);
  await settle(0);
  expect(screen.getByText('new')).toBeTruthy();
});
