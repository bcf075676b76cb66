import { expect, it } from 'vitest';
import { strength } from './password';

it.each([
  ['1234567', 0],
  ['12345678', 1],
  ['aaaaaaaaaaaaaaaa', 1],
  ['password1', 1],
  ['walk walk walk 77', 2],
  ['correct horse battery staple', 4],
  ['k3%Vq9!zTr2&', 3],
])('%s scores %d', (password, score) => expect(strength(password).score).toBe(score));
