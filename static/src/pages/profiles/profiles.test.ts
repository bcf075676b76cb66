import { describe, expect, it } from 'vitest';
import type { Profile } from '../../lib/api/types';
import { changes, draft, hostList } from './draft';
import { lockable, missing, steps } from './steps';

function profile(more: Partial<Profile> = {}): Profile {
  const limits = { memory_bytes: null, cpu_seconds: 5, processes: null, open_files: null, tmp_bytes: null, output_bytes: 2048 };
  const times = { created_at: '', updated_at: '', last_used_at: null, expires_at: null };
  const flags = { status: 'unlocked', locked: false, revoked: false, on_leak: 'record' } as const;
  return { id: 'ark_1', description: 'd', credentials: [], allowed_hosts: null, limits, ...times, ...flags, ...more };
}
const credential = (name: string, value_exists: boolean) => ({ name, description: '', value_exists });

describe('the way to a key', () => {
  it.each([
    [[], ['done', 'next', 'later', 'later'], true],
    [[credential('A', false)], ['done', 'done', 'next', 'later'], false],
    [[credential('A', true)], ['done', 'done', 'done', 'next'], true],
    [[credential('A', true), credential('B', false)], ['done', 'done', 'next', 'later'], false],
  ])('with %j', (credentials, states, may) => {
    const of = profile({ credentials });
    expect(steps(of).map(({ state }) => state)).toEqual(states);
    expect(lockable(of)).toBe(may);
  });

  it('names what is missing', () => {
    expect(missing(profile({ credentials: [credential('A', true), credential('B', false)] }))).toEqual(['B']);
  });
});

describe('settings as they are typed', () => {
  it('change nothing as they come', () => {
    for (const allowed_hosts of [null, [], ['a.example']]) {
      const of = profile({ allowed_hosts, expires_at: '2030-01-31T12:00:00.000Z' });
      expect(changes(of, draft(of))).toEqual({});
    }
  });

  it('say only what differs, and limits as a whole', () => {
    const of = profile();
    const typed = { ...draft(of), reach: 'listed' as const, hosts: ' a.example\n\n b.example:1 ', expires: '' };
    expect(changes(of, typed)).toEqual({ allowed_hosts: ['a.example', 'b.example:1'] });
    const limited = { ...draft(of), limits: { ...draft(of).limits, memory_bytes: '64' } };
    expect(changes(of, limited).limits).toEqual({ ...of.limits, memory_bytes: 64 * 1024 * 1024 });
  });

  it('let the server refuse what is no number, instead of taking it for the default', () => {
    const of = profile();
    const typed = { ...draft(of), limits: { ...draft(of).limits, processes: 'many' } };
    expect(changes(of, typed).limits?.processes).toBe('many');
  });

  it('keep an expiry to the minute, in the zone of the reader', () => {
    const of = profile();
    const change = changes(of, { ...draft(of), expires: '2030-01-31T12:00' });
    expect(change.expires_at).toBe(new Date('2030-01-31T12:00').toISOString());
    expect(draft(profile({ expires_at: change.expires_at ?? null })).expires).toBe('2030-01-31T12:00');
    expect(changes(profile({ expires_at: '2030-01-31T12:00:00Z' }), draft(of)).expires_at).toBeNull();
  });

  it('tell no hosts from all', () => {
    expect(hostList({ reach: 'all', hosts: 'x' })).toBeNull();
    expect(hostList({ reach: 'none', hosts: 'x' })).toEqual([]);
  });
});
