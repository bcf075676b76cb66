import { expect, it } from 'vitest';
import { strength } from './password';
import { warnings } from './value';

it.each([
  ['1234567', 0],
  ['12345678', 1],
  ['aaaaaaaaaaaaaaaa', 1],
  ['password1', 1],
  ['correct horse battery staple', 4],
  ['k3%Vq9!zTr2&', 3],
])('%s scores %d', (password, score) => expect(strength(password).score).toBe(score));

it.each([
  ['', true, 0],
  ['a good long value', true, 0],
  [' a good long value', true, 1],
  ['line\n', false, 1],
  ['short12', true, 1],
  ['short12', false, 0],
  ['12345678', true, 1],
  ['12345678901', true, 1],
  ['123456789012', true, 0],
  ['--short12--', true, 1],
  ['hK3x9Qz7', true, 0],
  ['aaaaaaaaaa', true, 1],
])('warns of %j (secret: %j) %d times', (value, secret, times) => expect(warnings(value, secret)).toHaveLength(times));
