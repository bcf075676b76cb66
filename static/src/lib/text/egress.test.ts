import { expect, test } from 'vitest';
import { about } from './egress';

const entry = { host: 'db.example', port: 5432, allowed: true, reason: null, count: 1, bytes_sent: 2, bytes_received: 501 };

test('an allowed connection says what it carried', () => {
  expect(about(entry)).toBe('sent 2 B, received 501 B');
  expect(about({ ...entry, count: 3 })).toBe('3 connections, sent 2 B, received 501 B');
});

test('a lookup is no connection', () => {
  expect(about({ ...entry, port: null })).toBe('Looked up');
  expect(about({ ...entry, port: null, count: 2 })).toBe('Looked up 2 times');
});

test('a refusal says why, in words, also one that this page does not know', () => {
  expect(about({ ...entry, allowed: false, reason: 'loopback' })).toBe('This machine');
  expect(about({ ...entry, allowed: false, reason: 'not_listed', count: 4 })).toBe(
    'Not among the hosts of its profile, 4 times',
  );
  expect(about({ ...entry, allowed: false, reason: 'new_reason' })).toBe('new_reason');
});
